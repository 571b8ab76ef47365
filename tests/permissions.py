"""Permissions of files hold for root too: tests in containers run as root."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_VERSION = 0x20080522
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1 << 1, 1 << 2
_BOTH = _DAC_OVERRIDE | _DAC_READ_SEARCH


@contextmanager
def heeded_permissions() -> Iterator[None]:
    """Take from this thread, and those that it starts, what lets root open any file."""
    if sys.platform == "win32":
        pytest.skip("permissions as POSIX has them")
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "capset"):
        pytest.skip("root opens any file, and only Linux has capabilities to take from it")
    head = (ctypes.c_uint32 * 2)(_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # twice effective, permitted, inheritable
    assert libc.capget(head, sets) == 0
    before = sets[0]
    sets[0] &= ~_BOTH
    if libc.capset(head, sets) != 0:
        pytest.skip("this sandbox lets no process give up a capability")
    try:
        yield
    finally:
        sets[0] = before
        assert libc.capset(head, sets) == 0
