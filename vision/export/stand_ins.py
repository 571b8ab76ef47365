"""Images for a comparison where no data are at hand."""

# H W height and width of the images

from pathlib import Path

import matplotlib as mpl
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from vision.data import read_synthetic
from vision.images import read_image, resize

STAND_INS = "synthetic scenes and crops of a sample photograph"


def stand_in_images(count: int, size: tuple[int, int]) -> list[UInt8[ndarray, "H W 3"]]:
    """Images of ``size`` (height, width): synthetic scenes in turn with crops of a portrait.

    The portrait is matplotlib's sample photograph; it shows a person, which detectors of everyday
    objects know.
    """
    scenes = [record.read() for record in read_synthetic(count, 0, size).records]
    path = Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    if path.is_file():
        photo, rng = read_image(path), np.random.default_rng(0)
        for index in range(0, count, 2):
            top, left = rng.integers(0, np.array(photo.shape[:2]) // 4)
            scenes[index] = resize(np.ascontiguousarray(photo[top:, left:]), size)
    return scenes
