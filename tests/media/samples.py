"""Small images and empty files."""

import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray


def plain(level: int, height: int = 48, width: int = 64) -> UInt8[ndarray, "h w 3"]:
    """An image of one grey."""
    return np.full((height, width, 3), level, np.uint8)


def make_files(folder: Path, *names: str) -> None:
    """Make empty files, and the folders that they lie in."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces a size and has no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
