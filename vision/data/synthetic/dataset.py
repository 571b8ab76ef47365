"""The synthetic data set of the quick start: no file is read, images are rendered on demand."""

from functools import partial

import numpy as np
import torch

import vision.boxes as box_ops
from vision.data.synthetic.layout import make_layout
from vision.data.synthetic.outlines import SHAPES
from vision.data.synthetic.rendering import render_scene
from vision.formats.records import Annotations, Record


def read_synthetic(num_images: int, seed: int, image_size: tuple[int, int]) -> Annotations:
    """List ``num_images`` scenes of simple shapes.

    Args:
        num_images: How many scenes.
        seed: Different seeds give different scenes; scene i of a seed is always the same.
        image_size: (height, width) of each scene.
    """
    result = Annotations(names=list(SHAPES))
    for index in range(num_images):
        layout = make_layout(seed, index, image_size)
        read = partial(render_scene, seed, index, image_size)
        names = tuple(SHAPES[label] for label in layout.labels)
        flags = np.zeros(len(layout.boxes), bool)
        areas = box_ops.area(torch.from_numpy(layout.boxes)).numpy()
        image_id = f"scene {index} of seed {seed}"
        result.records.append(
            Record(image_id, read, image_size, layout.boxes, names, flags, flags, areas)
        )
    return result
