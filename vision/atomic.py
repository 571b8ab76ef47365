"""Writing files so that they are complete when they appear."""

import errno
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUFFIX = ".partial"
_PARTIAL = re.compile(rf"\.[0-9a-f]{{32}}{re.escape(SUFFIX)}(\.[^.]+)?")
"""Matches the names of temporary files and folders of this module, and no others."""
_NOT_REGULAR = "it is not a regular file; remove it"
_MAX_STEM = 150
"""Maximum bytes of a file's stem in its visible temporary file's name, which may have 255."""
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)  # Windows has neither.
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


@contextmanager
def replacing(path: Path, *, sync: bool = True, visible: bool = False) -> Iterator[Path]:
    """Write a temporary file that replaces ``path`` at the end, creating its folder.

    After a kill, a full disk or an error, the previous file is unchanged. Only a kill leaves the
    temporary file behind: `remove_partial` removes it, or `remove_unfinished` if it is visible.

    Args:
        path: The file to write.
        sync: Whether the file must survive a power failure; waiting for the disk takes
            milliseconds.
        visible: Whether the temporary file is named after the file, since it can be used after a
            kill.

    Yields:
        The path to write to, with the same suffix.

    Raises:
        OSError: If the file cannot replace ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    start = f"{_shortened(path)}." if visible else "."
    partial = path.with_name(f"{start}{uuid.uuid4().hex}{SUFFIX}{path.suffix}")
    try:
        yield partial
        if sync:
            _sync(partial, os.O_RDWR)
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    if sync and os.name != "nt":  # Windows does not open folders.
        _sync(path.parent, os.O_RDONLY)


def open_own(name: str, flags: int) -> int:
    """Open a file to change it in place, as ``opener`` of `open`; it must be regular, not a link.

    It does not wait for the other end of a named pipe.

    Raises:
        OSError: As `os.open`; ``strerror`` says what to do about a link, pipe, device or folder.
    """
    try:
        descriptor = os.open(name, flags | _NOFOLLOW | _NONBLOCK, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            reason = "it is a link, which may lead to someone else's file; remove it"
            raise OSError(errno.ELOOP, reason, name) from error
        if error.errno in {errno.ENXIO, errno.EISDIR}:  # a pipe that no one reads, a folder
            raise OSError(error.errno, _NOT_REGULAR, name) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, _NOT_REGULAR, name)
    return descriptor


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Make a folder for files that are moved to ``parent`` once complete; remove it at the end."""
    folder = parent / f".{uuid.uuid4().hex}{SUFFIX}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_partial(folder: Path) -> None:
    """Remove temporary files and folders of killed processes, and nothing else.

    No other process may be writing in the folder.
    """
    for left in folder.glob(f".*{SUFFIX}*"):  # none if there is no such folder
        if not _PARTIAL.fullmatch(left.name):
            continue
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def remove_unfinished(path: Path) -> None:
    """Remove what killed processes left of a file from ``replacing(path, visible=True)``.

    No other process may be writing the file.
    """
    start = _shortened(path)
    for left in path.parent.iterdir() if path.parent.is_dir() else ():
        if left.name.startswith(start) and _PARTIAL.fullmatch(left.name, len(start)):
            left.unlink(missing_ok=True)


def _shortened(path: Path) -> str:
    return path.stem.encode(errors="surrogatepass")[:_MAX_STEM].decode(errors="ignore")


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
