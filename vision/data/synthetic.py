"""The drawn data set of the quick start: nothing is read, scenes are made when asked for."""

from functools import partial

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from vision.data.scenes import SHAPES, draw_scene, plan_scene
from vision.formats.records import Annotations, Record

__all__ = ["read_synthetic"]


def read_synthetic(num_images: int, seed: int, image_size: tuple[int, int]) -> Annotations:
    """List ``num_images`` scenes of simple shapes.

    Args:
        num_images: How many scenes.
        seed: Other seeds give other scenes; scene i of a seed is always the same.
        image_size: (height, width) of each scene.
    """
    result = Annotations(names=list(SHAPES))
    for index in range(num_images):
        scene = plan_scene(seed, index, image_size)
        boxes = scene.boxes
        flags = np.zeros(len(boxes), bool)
        result.records.append(
            Record(
                f"scene {index} of seed {seed}",
                partial(_draw, seed, index, image_size),
                image_size,
                boxes,
                tuple(SHAPES[label] for label in scene.labels),
                flags,
                flags,
                (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]),
            )
        )
    return result


def _draw(seed: int, index: int, image_size: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
    return draw_scene(seed, index, image_size).image
