"""The files inside of uncompressed tars: where each lies is found once and kept beside the tar."""

import json
import os
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, NonNegativeInt

from vision.atomic import replacing
from vision.errors import DataError
from vision.files import Member, open_regular, read_bytes

INDEX_SUFFIX = ".index"
"""What follows the name of a tar in that of its index."""
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")  # gzip, bzip2, xz, zstd
_DAMAGED = (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError)


class _Index(BaseModel):
    """What is kept: the tar's size and time of change, and name, offset and size of each file."""

    size: int
    mtime_ns: int
    members: list[tuple[str, NonNegativeInt, NonNegativeInt]]


def tar_members(path: Path) -> list[Member]:
    """The regular files in a tar, in its order.

    They are found from the headers of all files. The list is written to a file beside the tar,
    called as the tar and `INDEX_SUFFIX`, where that is possible, and is read from there as long as
    the tar has the same size and time of change. Links, devices and sparse files are left out.

    Raises:
        DataError: If the tar cannot be read, is compressed, truncated or damaged.
    """
    index = path.with_name(path.name + INDEX_SUFFIX)
    try:
        with open_regular(path) as file:
            state = os.fstat(file.fileno())
            rows = _read_index(index, state)
            if rows is None:
                rows = _list(file, path)
                content = {"size": state.st_size, "mtime_ns": state.st_mtime_ns, "members": rows}
                with suppress(OSError), replacing(index, sync=False) as partial:
                    partial.write_text(json.dumps(content), encoding="ascii")
    except OSError as error:
        raise DataError(f"tar {path} cannot be read: {error.strerror or error}") from error
    return [Member(path, *row) for row in rows]


def first_names(path: Path, count: int) -> list[str]:
    """The names of the first files in a tar; none if it cannot be read, or is compressed."""
    try:
        with open_regular(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            infos = (info for info, _ in zip(iter(tar.next, None), range(count), strict=False))
            return [info.name for info in infos if info.isreg()]
    except (OSError, *_DAMAGED):
        return []


def _read_index(path: Path, state: os.stat_result) -> list[tuple[str, int, int]] | None:
    """The kept list; None if there is none, or it is of another tar."""
    try:
        index = _Index.model_validate(json.loads(read_bytes(path)))
    except (OSError, ValueError, RecursionError):  # among others, pydantic's
        return None
    if (index.size, index.mtime_ns) != (state.st_size, state.st_mtime_ns):
        return None
    is_inside = all(offset + size <= state.st_size for _, offset, size in index.members)
    return index.members if is_inside else None


def _list(file: BinaryIO, path: Path) -> list[tuple[str, int, int]]:
    """Name, offset and size of the regular files in an open tar."""
    if file.read(8).startswith(_COMPRESSED):
        raise DataError(
            f"tar {path} is compressed, and images are read at their places in it; decompress it,"
            " as with gunzip"
        )
    file.seek(0)
    rows: list[tuple[str, int, int]] = []
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for info in iter(tar.next, None):
                vars(tar)["members"].clear()  # which would hold all headers in memory
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
