"""Images on servers and in object stores: http by the standard library, the others by fsspec."""

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
"""Schemes of URLs that fsspec reads; those of others are streams."""
_HTTP = frozenset({"http", "https"})
_SUFFIXES = IMAGE_SUFFIXES | OTHER_IMAGE_SUFFIXES  # of which the others are named as not read
_WILDCARDS = frozenset("*?[")


def is_remote(text: str) -> bool:
    """Whether a text is the URL of images: in a store, or by http with the suffix of an image."""
    if not is_url(text):
        return False
    scheme = _scheme(text)
    return scheme in STORES or (scheme in _HTTP and _suffix(text) in IMAGE_SUFFIXES)


def show_url(url: str) -> str:
    """A URL without its secrets; in stores ``key=value`` in a path is a partition and none."""
    return mask_url(url, in_path=_scheme(url) in _HTTP)


def find_remote(url: str) -> list[tuple[str, Path]]:
    """The images that a URL names, each with its path below the named folder.

    Args:
        url: One for which `is_remote` is true: of an image; in a store also of a folder, which is
            searched recursively but for hidden files, or with a glob pattern.

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
        raise DataError(f"{name} is no image, and no folder or pattern of images")
    if len(images) < len(found):
        logger.info("%s: %d files that are no images are left out", name, len(found) - len(images))
    return [(f"{folder}/{below}", Path(below)) for below in images]


def read_remote(url: str) -> bytes:
    """The file of a URL for which `is_remote` is true.

    Raises:
        DataError: If it cannot be read, or is larger than images may be.
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
    """The file system of a URL, and the path in it; both are of fsspec, which has no types."""
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
    """Whatever goes wrong in a file system is a DataError, without texts that may hold secrets."""
    try:
        yield
    except VisionError:
        raise
    except Exception as error:  # of each store's own package
        reason = (isinstance(error, OSError) and error.strerror) or type(error).__name__
        raise DataError(f"{name} cannot be read: {reason}") from error


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()


def _suffix(url: str) -> str:
    try:
        return PurePosixPath(urlsplit(url).path).suffix.lower()
    except ValueError:
        return ""
