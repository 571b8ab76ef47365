"""Files that appear when they are whole."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["remove_partial", "replacing"]

SUFFIX = ".partial"


@contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Write a file beside another and put it in that one's place, in a folder made if need be.

    A kill, a full disk or an error within leaves what was there before; only a kill leaves a
    trace, which `remove_partial` sweeps away.

    Args:
        path: What to write.
        sync: Whether it must outlast a power cut; waiting for the disk takes milliseconds.

    Yields:
        The path to write to.

    Raises:
        OSError: If the file cannot be put in place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{uuid.uuid4().hex}{SUFFIX}")
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


def remove_partial(folder: Path) -> None:
    """Remove what a killed process left; nobody else may be writing there."""
    for left in folder.glob(f".*{SUFFIX}*"):
        left.unlink()


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
