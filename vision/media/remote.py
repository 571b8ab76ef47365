"""Images on HTTP servers, read with the standard library, and in object stores, with fsspec."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from vision.errors import ConfigError, DataError, VisionError
from vision.extras import require_package
from vision.images import IMAGE_SUFFIXES, MAX_BYTES, OTHER_IMAGE_SUFFIXES
from vision.media.addresses import url_file_name
from vision.urls import is_url, mask_url, read_url

logger = logging.getLogger(__name__)

STORES = frozenset({"abfs", "az", "gcs", "gs", "memory", "s3"})
"""Schemes of URLs that are read with fsspec; other URLs except HTTP's of images are streams."""
_HTTP = frozenset({"http", "https"})
_SUFFIXES = IMAGE_SUFFIXES | OTHER_IMAGE_SUFFIXES  # The others are reported as not read.
_WILDCARDS = frozenset("*?[")


def is_remote(text: str) -> bool:
    """Whether a text is a URL of images: in an object store, or of HTTP with an image's suffix."""
    if not is_url(text):
        return False
    scheme = _scheme(text)
    return scheme in STORES or (scheme in _HTTP and _suffix(text) in IMAGE_SUFFIXES)


def show_url(url: str) -> str:
    """A URL without secrets; ``key=value`` in the path of a store is a partition, not a secret."""
    return mask_url(url, in_path=_scheme(url) in _HTTP)


def find_remote(url: str) -> list[tuple[str, Path]]:
    """Find the images that a URL names, each as its URL and its path below the named folder.

    Args:
        url: A URL for which `is_remote` is true: of an image or, in a store, also of a folder,
            which is searched recursively except for hidden files, or a glob pattern.

    Raises:
        DataError: If there is no image, or the store cannot be read.
        ConfigError: If fsspec, or its package for the store, is not installed.
    """
    if _scheme(url) in _HTTP:
        return [(url, Path(f"{url_file_name(url)}{_suffix(url)}"))]
    name, folder = f"input {show_url(url)}", url.rstrip("/")
    with _explained(name):
        fs, path = _open_store(url)
        if fs.isfile(path):
            return [(url, Path(PurePosixPath(path).name))]
        if wildcard := next((at for at, char in enumerate(url) if char in _WILDCARDS), 0):
            folder, files = url[: url.rindex("/", 0, wildcard)], fs.glob(path)
        else:
            files = fs.find(path)
        root = PurePosixPath(_open_store(folder)[1])
        found = sorted(PurePosixPath(file).relative_to(root) for file in files)
    found = [below for below in found if not any(part.startswith(".") for part in below.parts)]
    images = [below for below in found if below.suffix.lower() in _SUFFIXES]
    if not images:
        raise DataError(f"{name} is neither an image nor a folder or pattern with images")
    if len(images) < len(found):
        logger.info(
            "%s: files that are not images are left out: %d", name, len(found) - len(images)
        )
    return [(f"{folder}/{below}", Path(below)) for below in images]


def read_remote(url: str) -> bytes:
    """Read the image file at a URL for which `is_remote` is true.

    Raises:
        DataError: If the file cannot be read, or has more than `MAX_BYTES`.
    """
    if _scheme(url) in _HTTP:
        return read_url(url)
    name = f"image {show_url(url)}"
    with _explained(name):
        fs, path = _open_store(url)
        if (size := int(fs.info(path)["size"])) > MAX_BYTES:
            raise DataError(f"{name} has {size:,} bytes, more than the {MAX_BYTES:,} that are read")
        return bytes(fs.cat_file(path))


def _open_store(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, an untyped object of fsspec, and the path in it."""
    core = require_package("fsspec.core", "remote")
    try:
        fs, path = core.url_to_fs(url)
    except ImportError as error:  # "Install s3fs to access S3"
        raise ConfigError(
            f'input {show_url(url)}: {error}; in ssdlite\'s folder, run pip install ".[remote]"'
        ) from error
    return fs, str(path)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn all errors of a file system into `DataError`, without texts that may hold secrets."""
    try:
        yield
    except VisionError:
        raise
    except Exception as error:  # Each store's package has its own classes.
        reason = (isinstance(error, OSError) and error.strerror) or type(error).__name__
        raise DataError(f"{name} cannot be read: {reason}") from error


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()


def _suffix(url: str) -> str:
    try:
        return PurePosixPath(urlsplit(url).path).suffix.lower()
    except ValueError:
        return ""
