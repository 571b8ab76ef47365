"""Augmentation presets: random crops, zooms, flips and colour changes of training images."""

# n: boxes of an image; h, w: height and width of the image; H, W: those of the network's input

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from numpy import ndarray

from vision.data.colour import distort, draw_distortion
from vision.images import resize
from vision.structures import Target

Augment: TypeAlias = Callable[
    [UInt8[ndarray, "h w 3"], Target, tuple[int, int], np.random.Generator],
    tuple[UInt8[ndarray, "H W 3"], Target],
]
"""A function that augments an image and its target at random, and resizes both to a given size."""
MAX_ZOOM = 4.0
FILL = (123, 117, 104)
"""ImageNet's mean colour, which fills the canvas around an image that is zoomed out."""
OVERLAPS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
"""Minimum IoUs of a crop with an object, one of which is drawn; 1 means no crop."""
MIN_SIDE = 0.3
"""Minimum side of a crop, as a fraction of the image's side."""
ASPECTS = (0.5, 2.0)
TRIES = 40
MIN_PIXELS = 1
"""Minimum visible width and height of a box that is kept, in pixels of the original image."""
Span: TypeAlias = tuple[int, int]


class Window(NamedTuple):
    """A rectangle in pixels of an image; it may extend beyond the image."""

    left: int
    top: int
    width: int
    height: int


def zoom_out(window: Window, rng: np.random.Generator) -> Window:
    """Enlarge the window with probability 0.5: SSD's zoom-out (arXiv 1512.02325, section 3.6)."""
    if rng.random() >= 0.5:
        return window
    ratio, x, y = rng.random(3)
    zoom = 1 + (MAX_ZOOM - 1) * ratio
    width, height = int(window.width * zoom), int(window.height * zoom)
    left, top = int((width - window.width) * x), int((height - window.height) * y)
    return Window(window.left - left, window.top - top, width, height)


def iou_crop(window: Window, boxes: Float32[ndarray, "n 4"], rng: np.random.Generator) -> Window:
    """Draw SSD's random crop (arXiv 1512.02325, section 2.2) inside ``window``.

    The rules are those of torchvision's ``RandomIoUCrop``: a minimum IoU is drawn, and 40 random
    crops, of which the first is taken that contains the centre of an object and has this IoU with
    it. If there is none, another IoU is drawn. Here the 40 crops are computed at once.

    Args:
        window: The part of the image to crop, returned unchanged if it is not cropped.
        boxes: ``xyxy`` in pixels of the image. Without boxes, or if the window is only a few pixels
            wide or high, nothing is cropped.
        rng: Random number generator.
    """
    full = np.array([window.width, window.height])
    if not len(boxes) or full.min() * MIN_SIDE < 1:
        return window
    while (overlap := OVERLAPS[rng.integers(len(OVERLAPS))]) < 1:
        fractions, places = rng.random((2, TRIES, 2))
        sides = (full * (MIN_SIDE + (1 - MIN_SIDE) * fractions)).astype(np.int64)
        starts = ((full - sides) * places).astype(np.int64) + window[:2]
        aspects = sides[:, 0] / sides[:, 1]
        is_valid = (aspects >= ASPECTS[0]) & (aspects <= ASPECTS[1])
        is_valid &= _has_object(starts, starts + sides, boxes, overlap)
        if is_valid.any():
            first = is_valid.argmax()
            return Window(*starts[first].tolist(), *sides[first].tolist())
    return window


def _has_object(
    starts: ndarray, ends: ndarray, boxes: Float32[ndarray, "n 4"], overlap: float
) -> Bool[ndarray, "tries"]:
    """Whether each crop contains the centre of a box with which its IoU is at least ``overlap``."""
    starts, ends = starts[:, None], ends[:, None]
    low, high = boxes[:, :2], boxes[:, 2:]
    middles = (low + high) / 2
    is_inside = ((starts < middles) & (middles < ends)).all(axis=2)
    common = (np.minimum(ends, high) - np.maximum(starts, low)).clip(min=0).prod(axis=2)
    union = (ends - starts).prod(axis=2) + (high - low).prod(axis=1) - common
    is_close: Bool[ndarray, "tries"] = (is_inside & (common >= overlap * union)).any(axis=1)
    return is_close


def visible(
    boxes: Float32[ndarray, "n 4"], window: Window, *, by_middle: bool
) -> tuple[Float32[ndarray, "k 4"], Bool[ndarray, "n"]]:
    """Clip boxes to a window; return those still a pixel wide and high, and which boxes they are.

    Args:
        boxes: ``xyxy`` in pixels of the image.
        window: The visible part.
        by_middle: Whether to drop boxes whose centre is outside the window.
    """
    start = np.array(window[:2], np.float32)
    end = start + np.array(window[2:], np.float32)
    clipped = np.concatenate(
        [np.maximum(boxes[:, :2], start), np.minimum(boxes[:, 2:], end)], axis=1
    )
    is_kept = (clipped[:, 2:] - clipped[:, :2] >= MIN_PIXELS).all(axis=1)
    if by_middle:
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        is_kept &= ((start < middles) & (middles < end)).all(axis=1)
    return clipped[is_kept], is_kept


class View:
    """A window of an image, resized to the network's size.

    The part of the image in the window is resized once, to a rectangle of whole pixels, and the
    rest is filled. Boxes are scaled by the same two factors, so that they match the pixels exactly.

    Args:
        window: The window.
        image_size: (height, width) of the image.
        size: (height, width) of the view.
    """

    def __init__(self, window: Window, image_size: tuple[int, int], size: tuple[int, int]) -> None:
        left, top, width, height = window
        (self.x, self.to_x), (self.y, self.to_y) = (
            _spans(left, width, image_size[1], size[1]),
            _spans(top, height, image_size[0], size[0]),
        )
        self.size = size

    def part(self, image: UInt8[ndarray, "h w 3"]) -> UInt8[ndarray, "_ _ 3"]:
        """Resize the part of the image that is in the window."""
        shown = image[self.y[0] : self.y[1], self.x[0] : self.x[1]]
        return resize(shown, (self.to_y[1] - self.to_y[0], self.to_x[1] - self.to_x[0]))

    def filled(self, part: UInt8[ndarray, "_ _ 3"]) -> UInt8[ndarray, "H W 3"]:
        """Place the resized part in the view, and fill the rest."""
        if part.shape[:2] == self.size:
            return part
        (top, bottom), (left, right) = self.to_y, self.to_x
        below, beside = self.size[0] - bottom, self.size[1] - right
        result = cv2.copyMakeBorder(part, top, below, left, beside, cv2.BORDER_CONSTANT, value=FILL)
        return np.asarray(result, np.uint8)

    def boxes(self, boxes: Float32[ndarray, "n 4"]) -> Float32[ndarray, "n 4"]:
        """Convert boxes from pixels of the image to pixels of the view."""
        (x, to_x), (y, to_y) = (self.x, self.to_x), (self.y, self.to_y)
        scales = (to_x[1] - to_x[0]) / (x[1] - x[0]), (to_y[1] - to_y[0]) / (y[1] - y[0])
        origin, start = np.array([x[0], y[0]] * 2), np.array([to_x[0], to_y[0]] * 2)
        moved = np.minimum((boxes - origin) * (scales * 2) + start, self.size[::-1] * 2)
        return np.asarray(moved, np.float32)


def _spans(start: int, length: int, side: int, pixels: int) -> tuple[Span, Span]:
    """Along one axis, the span of the image that is in the window, and its span in the view."""
    first, last = max(start, 0), min(start + length, side)
    low = min(round((first - start) * pixels / length), pixels - 1)
    high = max(round((last - start) * pixels / length), low + 1)
    return (first, last), (low, high)


@dataclass(frozen=True, slots=True)
class AugmentPreset:
    """An augmentation recipe.

    Attributes:
        photometric: Whether brightness, contrast, saturation and hue change.
        permute: Whether the order of the channels changes too; needs ``photometric``.
        zoom_out: Whether half of the images are placed on a larger canvas, see `zoom_out`.
        crop: Whether images are cropped, see `iou_crop`.
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
        """Augment an image and resize it to ``size``, with its target.

        Boxes have the distribution of torchvision's transforms followed by resizing, but here the
        window is chosen first, and only its pixels are resized and distorted. Colours differ from
        torchvision's by a few levels, see `vision.data.colour.distort`. Boxes whose visible part is
        less than a pixel wide or high are removed.

        Args:
            image: The image, which is not changed.
            target: Its objects, in pixels of ``target.size``.
            size: (height, width) of the result.
            rng: Random number generator.
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
"""Recipes by ``augment.preset``, except ``none``.

``photometric`` does not crop, so that small data sets lose none of their few objects, and keeps the
order of the channels, because colours may distinguish the classes. ``ssdlite`` is torchvision's
augmentation for training SSDlite, ``ssd`` that of the SSD paper.
"""
