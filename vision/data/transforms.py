"""Augmentation presets: what is changed at random in a training image."""

# h and w the height and width of an image, H and W those of the network's input

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray

from vision.data.colour import distort, draw_distortion
from vision.data.geometry import View, Window, iou_crop, visible, zoom_out
from vision.structures import Target

Augment: TypeAlias = Callable[
    [UInt8[ndarray, "h w 3"], Target, tuple[int, int], np.random.Generator],
    tuple[UInt8[ndarray, "H W 3"], Target],
]
"""Augments an image and its target at random and resizes them to a (height, width)."""


@dataclass(frozen=True, slots=True)
class AugmentPreset:
    """An augmentation recipe, in the order in which it is applied.

    Attributes:
        photometric: Whether brightness, contrast, saturation and hue change.
        permute: Whether the order of the channels changes with them.
        zoom_out: Whether half of the images are laid on a larger canvas, see
            `vision.data.geometry.zoom_out`.
        crop: Whether images are cropped, see `vision.data.geometry.iou_crop`.
        flip: Whether images are flipped horizontally with probability 0.5.
    """

    photometric: bool = False
    permute: bool = False
    zoom_out: bool = False
    crop: bool = False
    flip: bool = False

    def __call__(
        self,
        image: UInt8[ndarray, "h w 3"],
        target: Target,
        size: tuple[int, int],
        rng: np.random.Generator,
    ) -> tuple[UInt8[ndarray, "H W 3"], Target]:
        """The image augmented and resized to ``size``, and its target in pixels of that.

        Boxes have the distribution of torchvision's transforms followed by resizing, but the part
        of the image that is seen is chosen first, and only its pixels are resized and changed.
        Colours differ by a few levels, see `vision.data.colour.distort`. Boxes that are left
        without a pixel of width and height are removed.

        Args:
            image: The image, which is left as it is.
            target: Its objects.
            size: (height, width).
            rng: The source of the random numbers.
        """
        boxes = target.boxes.numpy()
        canvas = Window(0, 0, target.size[1], target.size[0])
        canvas = zoom_out(canvas, rng) if self.zoom_out else canvas
        window = iou_crop(canvas, boxes, rng) if self.crop else canvas
        boxes, kept = visible(boxes, window, by_middle=window is not canvas)
        view = View(window, target.size, size)
        boxes, pixels = view.boxes(boxes), view.part(image)
        if self.photometric:
            change = draw_distortion(rng)
            change = change if self.permute else change._replace(order=(0, 1, 2))
            pixels = distort(pixels, change, image)
        pixels = view.filled(pixels)
        if self.flip and rng.random() < 0.5:
            pixels = np.asarray(cv2.flip(pixels, 1), np.uint8)
            boxes[:, [0, 2]] = size[1] - boxes[:, [2, 0]]
        columns = (target.labels, target.ignore, target.crowd)
        labels, ignore, crowd = (column[torch.from_numpy(kept)] for column in columns)
        return np.ascontiguousarray(pixels), Target(
            torch.from_numpy(boxes), labels, ignore, target.image_id, size, crowd
        )


PRESETS = {
    "photometric": AugmentPreset(photometric=True, flip=True),
    "ssdlite": AugmentPreset(crop=True, flip=True),
    "ssd": AugmentPreset(photometric=True, permute=True, zoom_out=True, crop=True, flip=True),
}
"""Recipes by ``augment.preset``, but for ``none``.

``photometric`` cuts nothing off, so that small data sets lose none of their few objects, and keeps
the order of the channels, since colours may tell their classes apart;
``ssdlite`` is how torchvision trains its SSDlite; ``ssd`` is the augmentation of the SSD paper.
"""
