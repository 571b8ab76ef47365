"""A lock that allows a folder one writer, and that ends with the writer's process."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from vision.atomic import open_own
from vision.errors import ConfigError

NAME = ".ssdlite.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which must exist.

    It is a lock of the operating system on a file in the folder, so that it ends with the process,
    even if that is killed; forked processes do not inherit it. Nothing is checked on Windows, and
    on file systems without locks.

    Raises:
        ConfigError: If another process holds it, or the folder cannot be written.
    """
    path = folder / NAME
    file = _open(path)
    try:
        _take(file, folder)
        while not _is_current(file, path):
            file.close()  # Its last holder has just removed it.
            file = _open(path)
            _take(file, folder)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)  # Only its holder removes it.
    finally:
        file.close()


def _open(path: Path) -> IO[str]:
    try:
        return open(path, "a+", encoding="utf-8", opener=open_own)
    except OSError as error:
        raise ConfigError(f"{path} cannot be opened: {error.strerror or error}") from error


@contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """Make a folder and hold its lock; remove the folder at the end if it was made and is empty.

    Raises:
        ConfigError: If another process holds the lock, or the folder cannot be made.
    """
    try:
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"folder {folder} cannot be made: {error.strerror or error}") from error
    try:
        with locked(folder):
            yield
    finally:
        for path in made:
            with suppress(OSError):
                path.rmdir()


def _take(file: IO[str], folder: Path) -> None:
    if sys.platform == "win32":
        return
    import fcntl  # noqa: PLC0415 - Windows has none

    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        file.seek(0)
        raise ConfigError(
            f"folder {folder} is in use by process {file.read() or 'unknown'}; wait until it ends,"
            " or name another folder"
        ) from error
    except OSError:  # The file system has no locks.
        return


def _is_current(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
