"""Small images and empty files."""

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
