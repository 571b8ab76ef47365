"""Opening the files that users name: plain files alone, of a size that can be parsed."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MAX_BYTES = 2**32
"""Largest file that is parsed as a whole, such as the annotations of millions of images."""
MAX_TEXT_BYTES = 2**24
"""Largest file of those that people write: configurations and lists of names."""
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file to read, without waiting for a writer as opening a named pipe does.

    Raises:
        OSError: If it cannot be opened, is not a regular file, or no file can have its name;
            ``strerror`` is the reason.
    """
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


def read_bytes(path: str | Path, limit: int = MAX_BYTES) -> bytes:
    """The content of a file.

    Raises:
        OSError: As `open_regular`, or if it has more than ``limit`` bytes.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            reason = f"it has {size:,} bytes, more than the {limit:,} that are read"
            raise OSError(errno.EFBIG, reason, str(path))
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
