"""Opening the files that users name."""

import difflib
import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
MIN_SIMILARITY = 0.75
"""Of a suggested file's name without its suffix."""


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file to read, without waiting for a writer as opening a named pipe does.

    Raises:
        OSError: If it cannot be opened, or is not a regular file.
    """
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NONBLOCK))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return file


def read_bytes(path: str | Path) -> bytes:
    """The content of a file.

    Raises:
        OSError: As `open_regular`.
    """
    with open_regular(path) as file:
        return file.read()


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
