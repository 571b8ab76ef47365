"""The files in uncompressed tars, located without unpacking."""

import tarfile
from pathlib import Path
from typing import BinaryIO

from vision.errors import DataError
from vision.files import Member, open_regular

_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")  # gzip, bzip2, xz, zstd
_DAMAGED = (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError)


def tar_members(path: Path) -> list[Member]:
    """The regular files in a tar, in its order, listed from its headers.

    Links, devices and sparse files are left out.

    Raises:
        DataError: If the tar cannot be read, is compressed, truncated or damaged.
    """
    try:
        with open_regular(path) as file:
            return [Member(path, *row) for row in _list(file, path)]
    except OSError as error:
        raise DataError(f"tar {path} cannot be read: {error.strerror or error}") from error


def first_names(path: Path, count: int) -> list[str]:
    """The names of the first files in a tar; none if it cannot be read, or is compressed."""
    try:
        with open_regular(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            infos = (info for info, _ in zip(iter(tar.next, None), range(count), strict=False))
            return [info.name for info in infos if info.isreg()]
    except (OSError, *_DAMAGED):
        return []


def _list(file: BinaryIO, path: Path) -> list[tuple[str, int, int]]:
    """Name, offset and size of the regular files in an open tar."""
    if file.read(8).startswith(_COMPRESSED):
        raise DataError(
            f"tar {path} is compressed, but images are read in place; decompress it, for example"
            " with gunzip"
        )
    file.seek(0)
    rows: list[tuple[str, int, int]] = []
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for info in iter(tar.next, None):
                vars(tar)["members"].clear()  # Otherwise all headers stay in memory.
                if info.size < 0:
                    raise tarfile.ReadError("negative size")
                if info.isreg() and not info.issparse():
                    rows.append((info.name, info.offset_data, info.size))
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
                raise tarfile.ReadError("no end of the archive")
    except _DAMAGED as error:
        place = f"after {rows[-1][0]}" if rows else "at its beginning"
        raise DataError(
            f"tar {path} is truncated or damaged {place}; copy or write it again"
        ) from error
    return rows
