"""A file from the web: continued where an earlier load ended, and verified."""

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import NoReturn
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tqdm import tqdm

from vision.atomic import open_own, replacing
from vision.errors import DataError
from vision.files import MAX_TEXT_BYTES, open_regular, read_text
from vision.progress import progress

__all__ = ["Archive", "bytes_bar", "fetch"]

CHUNK = 1 << 20
TIMEOUT = 60.0
"""Seconds without a byte after which a connection counts as lost."""
PAUSE = 2.0
"""Seconds before a lost connection is opened again."""
PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 206, 416

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Archive:
    """A file on a server: its address, MD5 checksum, and size in bytes."""

    url: str
    md5: str
    size: int

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.url.rpartition("/")[2]


class _CutError(DataError):
    """The network failed; what was loaded until then is right."""


def fetch(archive: Archive, folder: Path) -> Path:
    """Load an archive, or the rest of it, and verify its checksum.

    A file that is there is only verified. Until it is complete, it has the suffix ``.partial``.

    Args:
        archive: What to load.
        folder: Where to.

    Returns:
        The file.

    Raises:
        DataError: If the network fails, or the checksum is wrong.
        OSError: If the disk fails.
    """
    path = folder / archive.name
    if not path.exists():
        logger.info("loading %s, %.2f GB", archive.url, archive.size / 1e9)
        _load(archive.url, path)
        _partial(path).rename(path)
    checksum = _md5(path)
    if checksum != archive.md5:
        path.unlink()
        raise DataError(
            f"{path} has the MD5 checksum {checksum}, expected {archive.md5}; it was deleted, and"
            " the same command loads it again"
        )
    return path


def _load(url: str, path: Path) -> None:
    """Load the rest of a file, over several connections as long as each brings some of it."""
    while True:
        before = _size(_partial(path))
        try:
            _load_once(url, path)
        except _CutError:
            size = _size(_partial(path))
            if size <= before:
                raise
            logger.info("the connection was lost after %d bytes, and is opened again", size)
            time.sleep(PAUSE)
        else:
            return


def _load_once(url: str, path: Path) -> None:
    """Load the rest of a file; all of it, if the server knows no ranges or has another version."""
    file, version_file = _partial(path), path.with_name(f"{path.name}.version")
    start = _size(file)
    version = read_text(version_file, MAX_TEXT_BYTES) if version_file.exists() else ""
    response = _request(url, path, start)
    if response.status == PARTIAL_CONTENT and _version(response) != version:
        response.close()
        response = _request(url, path, 0)
    if response.status != PARTIAL_CONTENT:
        start = 0
    with replacing(version_file) as replacement:
        replacement.write_text(_version(response), encoding="utf-8")
    length = _length(response)
    bar = bytes_bar(path.name, length, start)
    with response, open(file, "ab" if start else "wb", opener=open_own) as stream, bar:
        while chunk := _read(response, url, path):
            stream.write(chunk)
            bar.update(len(chunk))
    if length is not None and _size(file) < length:
        raise _CutError(
            f"{url}: the connection was cut after {_size(file)} of {length} bytes; the same command"
            " continues"
        )


def _request(url: str, path: Path, start: int) -> HTTPResponse:
    """What the server gives of a file from byte ``start`` on, or of all of it."""
    headers = {"User-Agent": "ssdlite"} | ({"Range": f"bytes={start}-"} if start else {})
    request = Request(url, headers=headers)  # noqa: S310 - the addresses are our own
    with _network_errors(url, path):
        try:
            response: HTTPResponse = urlopen(request, timeout=TIMEOUT)  # noqa: S310
        except HTTPError as error:
            with error:
                if error.code != RANGE_NOT_SATISFIABLE or not start:
                    raise
            return _request(url, path, 0)
        return response


def _read(response: HTTPResponse, url: str, path: Path) -> bytes:
    with _network_errors(url, path):
        return response.read(CHUNK)


@contextmanager
def _network_errors(url: str, path: Path) -> Iterator[None]:
    by_hand = f"or put the archive there by hand as {path}"
    try:
        yield
    except HTTPError as error:
        raise DataError(
            f"{url}: the server answers {error.code} {error.reason}; try again later, {by_hand}"
        ) from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise _CutError(
            f"{url} cannot be reached: {reason}; check the network and try again, the same command"
            f" continues, {by_hand}"
        ) from error


def _version(response: HTTPResponse) -> str:
    """What changes with the file on the server."""
    validator = response.headers["ETag"] or response.headers["Last-Modified"]
    return json.dumps([validator, _length(response)])


def _length(response: HTTPResponse) -> int | None:
    """Size of the whole file, None if the server does not say it."""
    ranged = response.headers.get("Content-Range", "").rpartition("/")[2]
    with suppress(ValueError):
        return int(ranged or response.headers.get("Content-Length", ""))
    return None


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with open_regular(path) as stream, bytes_bar(f"verify {path.name}", _size(path)) as bar:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def bytes_bar(text: str, total: int | None, start: int = 0) -> "tqdm[NoReturn]":
    """A progress bar of bytes."""
    return progress(None, text, total, initial=start, unit="B", unit_scale=True)
