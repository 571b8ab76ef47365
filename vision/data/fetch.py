"""Download a file, continuing an earlier download, and verify its checksum."""

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
"""Seconds without received data after which a connection counts as lost."""
PAUSE = 2.0
"""Seconds to wait before a lost connection is opened again."""
PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 206, 416

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Archive:
    """A file on a server, with its MD5 checksum and size in bytes."""

    url: str
    md5: str
    size: int

    @property
    def name(self) -> str:
        """The file name, the last part of the URL."""
        return self.url.rpartition("/")[2]


class _CutError(DataError):
    """The network failed; the data received until then are valid, so the download can continue."""


def fetch(archive: Archive, folder: Path) -> Path:
    """Download an archive, or the missing part of it, and verify its checksum.

    An existing file is only verified. An incomplete file has the suffix ``.partial``.

    Args:
        archive: The archive to download.
        folder: The folder to save it in.

    Returns:
        The path of the file.

    Raises:
        DataError: If the network fails, or the checksum is wrong; the file is deleted then.
        OSError: If the disk fails.
    """
    path = folder / archive.name
    if not path.exists():
        logger.info("downloading %s, %.2f GB", archive.url, archive.size / 1e9)
        _load(archive.url, path)
        _partial(path).rename(path)
    checksum = _md5(path)
    if checksum != archive.md5:
        path.unlink()
        raise DataError(
            f"{path} has the MD5 checksum {checksum}, expected {archive.md5}; it was deleted, run"
            " the same command again to download it"
        )
    return path


def _load(url: str, path: Path) -> None:
    """Download the rest of a file, reconnecting as long as each connection makes progress."""
    while True:
        before = _size(_partial(path))
        try:
            _load_once(url, path)
        except _CutError:
            size = _size(_partial(path))
            if size <= before:
                raise
            logger.info("the connection was lost after %d bytes; connecting again", size)
            time.sleep(PAUSE)
        else:
            return


def _load_once(url: str, path: Path) -> None:
    """Download the rest of a file; all of it if the server lacks ranges or the file has changed."""
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
            f"{url}: the connection was lost after {_size(file)} of {length} bytes; run the same"
            " command again to continue"
        )


def _request(url: str, path: Path, start: int) -> HTTPResponse:
    """Request a file from byte ``start`` on; the server may send all of it instead."""
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
    by_hand = f"or save the archive by hand as {path}"
    try:
        yield
    except HTTPError as error:
        raise DataError(
            f"{url}: the server answers {error.code} {error.reason}; try again later, {by_hand}"
        ) from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise _CutError(
            f"{url} cannot be reached: {reason}; check the network and run the same command again"
            f" to continue, {by_hand}"
        ) from error


def _version(response: HTTPResponse) -> str:
    """A text that changes when the file on the server changes."""
    validator = response.headers["ETag"] or response.headers["Last-Modified"]
    return json.dumps([validator, _length(response)])


def _length(response: HTTPResponse) -> int | None:
    """Size of the whole file in bytes; None if the server does not state it."""
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
    """A progress bar that counts bytes; ``start`` bytes are done already."""
    return progress(None, text, total, initial=start, unit="B", unit_scale=True)
