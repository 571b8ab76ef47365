"""Opening the files that users name, and files inside tars, with limits on their size."""

import difflib
import errno
import io
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias, cast

MAX_BYTES = 2**32
"""Maximum bytes of a file that is parsed whole, such as annotations of millions of images."""
MAX_TEXT_BYTES = 2**24
"""Maximum bytes of a file that people write, such as a configuration or a list of names."""
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
MIN_SIMILARITY = 0.75
"""Minimum similarity of a suggested file's name, without its suffix."""


class Member(NamedTuple):
    """A file inside an uncompressed tar, read directly from the tar.

    Its text and its path are ``TAR/NAME``, for messages.

    Attributes:
        archive: The tar.
        name: The file's path in the tar.
        offset: Where its content begins in the tar, in bytes.
        size: Length of its content, in bytes.
    """

    archive: Path
    name: str
    offset: int
    size: int

    def __fspath__(self) -> str:
        return f"{self.archive}/{self.name}"

    def __str__(self) -> str:
        return self.__fspath__()


AnyFile: TypeAlias = Path | Member
"""A file in a folder, or a file inside a tar."""


class _Window(io.RawIOBase):
    """A read-only file object over the bytes of a `Member`."""

    mode = "rb"

    def __init__(self, member: Member) -> None:
        self._file = open_regular(member.archive)
        self._member = member
        self._position = 0
        if os.fstat(self._file.fileno()).st_size < member.offset + member.size:
            self.close()
            raise OSError(errno.EIO, "the tar ends in the middle of this file", str(member))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._member.size}
        self._position = max(0, starts[whence] + offset)
        return self._position

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - a buffer
        data = self._take(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._take(self._member.size)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _take(self, count: int) -> bytes:
        count = max(0, min(count, self._member.size - self._position))
        self._file.seek(self._member.offset + self._position)
        data = self._file.read(count)
        self._position += len(data)
        return data


def expand_home(path: str | Path) -> Path:
    """Replace ``~`` by the home folder; the ``~name`` of an unknown user stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib's raises RuntimeError


def open_regular(path: str | AnyFile) -> BinaryIO:
    """Open a file for reading; a named pipe is refused without waiting for its writer.

    Raises:
        OSError: If it cannot be opened, is not a regular file, or has a name that no file can
            have; ``strerror`` is the reason.
    """
    if isinstance(path, Member):
        return cast("BinaryIO", io.BufferedReader(_Window(path)))
    try:
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NONBLOCK))  # noqa: SIM115
    except ValueError as error:  # a NUL, or half of a surrogate pair
        raise OSError(errno.EINVAL, "no file can have this name", str(path)) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return file


def check_regular(path: str | Path) -> int:
    """Return the size in bytes of a file, after checks, for a library that opens it by name.

    Raises:
        OSError: As `open_regular`.
    """
    with open_regular(path) as file:
        return os.fstat(file.fileno()).st_size


def check_opens(folder: Path) -> None:
    """Raise OSError if a folder exists and cannot be opened."""
    with suppress(FileNotFoundError, NotADirectoryError):
        os.scandir(folder).close()


def read_bytes(
    path: str | AnyFile,
    limit: int = MAX_BYTES,
    check: Callable[[BinaryIO], object] = lambda _: None,
) -> bytes:
    """Read the content of a file.

    Args:
        path: The file.
        limit: Maximum size in bytes.
        check: Called with the open file before the content is read, to check its header.

    Raises:
        OSError: As `open_regular`, or if it has more than ``limit`` bytes.
    """
    with open_regular(path) as file:
        size = path.size if isinstance(path, Member) else os.fstat(file.fileno()).st_size
        if size > limit:
            reason = f"it has {size:,} bytes, more than the {limit:,} that are read"
            raise OSError(errno.EFBIG, reason, str(path))
        check(file)
        file.seek(0)
        return file.read()


def read_text(path: str | Path, limit: int = MAX_BYTES) -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Raises:
        OSError: As `read_bytes`, or if it is not UTF-8.
    """
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reason = f"it is not UTF-8 text ({error.reason} at byte {error.start})"
        raise OSError(errno.EILSEQ, reason, str(path)) from error


def split_lines(text: str) -> list[str]:
    """Split a text at line feeds and carriage returns, and at no other character."""
    return [line.rstrip("\n") for line in io.StringIO(text, newline=None)]


def similar_file(path: str | Path, others: Iterable[str] = ()) -> str:
    """Return the end of a message about a missing file: a file with a similar name, or nothing.

    Args:
        path: The missing file. If one of its folders is missing, a folder is suggested.
        others: Names to suggest besides files.
    """
    path = Path(path)
    known: dict[str, dict[str, str]] = {}  # by stem and name, in lower case
    try:
        missing = next(part for part in (*reversed(path.parents), path) if not part.exists())
        found = {file.name: str(file) for file in sorted(missing.parent.iterdir())}
    except (OSError, ValueError, StopIteration):  # such as a name that is too long
        return ""
    for name, meant in (*found.items(), *((name, name) for name in others)):
        known.setdefault(Path(name).stem.casefold(), {})[name.casefold()] = meant
    stems = difflib.get_close_matches(missing.stem.casefold(), known, 1, MIN_SIMILARITY)
    if not stems:
        return ""
    names = known[stems[0]]
    (nearest,) = difflib.get_close_matches(missing.name.casefold(), names, 1, cutoff=0)
    return f"; did you mean {names[nearest]}?"
