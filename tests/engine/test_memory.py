"""What the C library is asked for."""

import ctypes
import platform

import pytest

from vision.engine.step import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks something of glibc alone")
def test_glibc_agrees() -> None:
    assert keep_freed_memory()


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not keep_freed_memory()
