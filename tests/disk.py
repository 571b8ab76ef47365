"""Disks that are full: a limit on the size of files, and a small file system."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000
_REMOUNT, _PRIVATE = 1 << 5, 1 << 14 | 1 << 18


@contextmanager
def files_end_at(num_bytes: int) -> Iterator[None]:
    """Let no file become longer: a write beyond fails in its midst, as on a full disk."""
    resource = pytest.importorskip("resource")  # Windows has none
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def mount_small_disk(folder: Path, num_bytes: int) -> None:
    """Mount an empty file system of a size, which this process alone sees, and loses at its end.

    Raises:
        OSError: If processes may not mount here, or not on this system.
    """
    if not hasattr(ctypes.CDLL(None), "unshare"):
        raise OSError("only Linux has file systems of a process")
    user, group = os.geteuid(), os.getegid()
    _call("unshare", _NEW_MOUNTS | (_NEW_USER if user else 0))
    if user:
        Path("/proc/self/setgroups").write_text("deny", "ascii")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1", "ascii")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1", "ascii")
    _call("mount", b"none", b"/", None, _PRIVATE, None)
    _call("mount", b"tmpfs", bytes(folder), b"tmpfs", 0, f"size={num_bytes}".encode())


def make_room(folder: Path, num_bytes: int) -> None:
    """Give another size to what `mount_small_disk` has mounted."""
    _call("mount", b"tmpfs", bytes(folder), b"tmpfs", _REMOUNT, f"size={num_bytes}".encode())


def _call(name: str, *words: int | bytes | None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    numbers = [ctypes.c_ulong(word) if isinstance(word, int) else word for word in words]
    if getattr(libc, name)(*numbers) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
