"""Files that are complete when they appear."""

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUFFIX = ".partial"
_PARTIAL = re.compile(rf"\.[0-9a-f]{{32}}{re.escape(SUFFIX)}(\.[^.]+)?")
"""Names of the temporary files and folders of this module, of no one else."""
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)  # Windows has none


@contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Write a temporary file that replaces ``path`` at the end, creating its folder.

    After a kill, a full disk or an error, the previous file is unchanged. Only a kill leaves the
    temporary file behind, for `remove_partial`.

    Args:
        path: The file to write.
        sync: Whether the file must survive a power failure; waiting for the disk takes
            milliseconds.

    Yields:
        The path to write to, of the same suffix.

    Raises:
        OSError: If the file cannot replace ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{uuid.uuid4().hex}{SUFFIX}{path.suffix}")
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
    """Opener, for `open`, of a file that is changed in place, unless it is a link.

    Raises:
        OSError: As `os.open`; ``strerror`` says what to do about a link.
    """
    try:
        return os.open(name, flags | _NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        reason = "it is a link, which may lead to someone else's file; remove it"
        raise OSError(errno.ELOOP, reason, name) from error


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A folder for files that are moved to ``parent`` once complete; it is removed at the end."""
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


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
