"""Opening the files that users name, and files inside of tars: of a size that can be parsed."""

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
"""Largest file that is parsed as a whole, such as the annotations of millions of images."""
MAX_TEXT_BYTES = 2**24
"""Largest file of those that people write: configurations and lists of names."""
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
MIN_SIMILARITY = 0.75
"""Minimum similarity of a suggested file's name, without its suffix."""


class Member(NamedTuple):
    """A file inside of an uncompressed tar, which is read at its place there.

    As a text or path it is ``TAR/NAME``, for messages.

    Attributes:
        archive: The tar.
        name: The file's path in the tar.
        offset: Where its content begins in the tar, in bytes.
        size: Of its content, in bytes.
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
"""A file of its own, or one inside of a tar."""


class _Window(io.RawIOBase):
    """The bytes of a `Member` as a file."""

    mode = "rb"

    def __init__(self, member: Member) -> None:
        self._file = open_regular(member.archive)
        self._member = member
        self._position = 0
        if os.fstat(self._file.fileno()).st_size < member.offset + member.size:
            self.close()
            raise OSError(errno.EIO, "its tar ends in the middle of it", str(member))

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


def open_regular(path: str | AnyFile) -> BinaryIO:
    """Open a file to read, without waiting for a writer as opening a named pipe does.

    Raises:
        OSError: If it cannot be opened, is not a regular file, or no file can have its name;
            ``strerror`` is the reason.
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
    """The size in bytes of a file that a library opens by its name.

    Raises:
        OSError: As `open_regular`.
    """
    with open_regular(path) as file:
        return os.fstat(file.fileno()).st_size


def check_opens(folder: Path) -> None:
    """Make sure that a folder can be opened, if it is there.

    Raises:
        OSError: If it cannot.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        os.scandir(folder).close()


def read_bytes(
    path: str | AnyFile,
    limit: int = MAX_BYTES,
    check: Callable[[BinaryIO], object] = lambda _: None,
) -> bytes:
    """The content of a file.

    Args:
        path: The file.
        limit: Bytes that it may have.
        check: Called with the open file before the content is read, to look at its head.

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
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises:
        OSError: As `read_bytes`, or if it is not such a text.
    """
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reason = f"it is not UTF-8 text ({error.reason} at byte {error.start})"
        raise OSError(errno.EILSEQ, reason, str(path)) from error


def split_lines(text: str) -> list[str]:
    """The lines of a text, which a line feed or a carriage return ends, but no other character."""
    return [line.rstrip("\n") for line in io.StringIO(text, newline=None)]


def similar_file(path: str | Path, others: Iterable[str] = ()) -> str:
    """The end of a message on a missing file: the file spelt alike, empty if there is none.

    Args:
        path: What is missing. If a folder of it is, the suggestion is a folder.
        others: What might be meant besides files.
    """
    path = Path(path)
    known: dict[str, dict[str, str]] = {}  # by stem and name, in small letters
    try:
        missing = next(part for part in (*reversed(path.parents), path) if not part.exists())
        found = {file.name: str(file) for file in sorted(missing.parent.iterdir())}
    except (OSError, ValueError, StopIteration):  # among others, a name too long
        return ""
    for name, meant in (*found.items(), *((name, name) for name in others)):
        known.setdefault(Path(name).stem.casefold(), {})[name.casefold()] = meant
    stems = difflib.get_close_matches(missing.stem.casefold(), known, 1, MIN_SIMILARITY)
    if not stems:
        return ""
    names = known[stems[0]]
    (nearest,) = difflib.get_close_matches(missing.name.casefold(), names, 1, cutoff=0)
    return f"; did you mean {names[nearest]}?"
