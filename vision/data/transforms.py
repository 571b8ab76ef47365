"""Augmentation presets: what is changed at random in a training image, and what of it is seen."""

# n boxes of one image, h and w the image's height and width, H and W those of the network's input

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
"""Augments an image and its target at random and resizes them to a (height, width)."""
MAX_ZOOM = 4.0
FILL = (123, 117, 104)
"""ImageNet's mean colour, around an image that is zoomed out."""
OVERLAPS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
"""IoU that a crop must have with an object; with 1 the image is kept as it is."""
MIN_SIDE = 0.3
"""Minimum side of a crop, as a fraction of the image's."""
ASPECTS = (0.5, 2.0)
TRIES = 40
MIN_PIXELS = 1
"""Minimum side of a box that is kept, in pixels of the image."""
Span: TypeAlias = tuple[int, int]


class Window(NamedTuple):
    """A rectangle in the pixels of an image, beyond which it may reach."""

    left: int
    top: int
    width: int
    height: int


def zoom_out(window: Window, rng: np.random.Generator) -> Window:
    """SSD's zoom-out (arXiv 1512.02325, section 3.6): with probability 0.5 a wider window."""
    if rng.random() >= 0.5:
        return window
    ratio, x, y = rng.random(3)
    zoom = 1 + (MAX_ZOOM - 1) * ratio
    width, height = int(window.width * zoom), int(window.height * zoom)
    left, top = int((width - window.width) * x), int((height - window.height) * y)
    return Window(window.left - left, window.top - top, width, height)


def iou_crop(window: Window, boxes: Float32[ndarray, "n 4"], rng: np.random.Generator) -> Window:
    """SSD's crop (arXiv 1512.02325, section 2.2), a window inside ``window``, or that itself.

    The rules are those of torchvision's ``RandomIoUCrop``: of 40 crops at random the first one
    counts that holds the middle of an object whose IoU with it suffices; if none does, another IoU
    is drawn. Here the 40 are computed at once.

    Args:
        window: What is seen so far.
        boxes: ``xyxy`` in pixels of the image. Without one, or in an image a few pixels wide or
            high, no crop is possible.
        rng: The source of the random numbers.
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
        is_valid &= _hold_one(starts, starts + sides, boxes, overlap)
        if is_valid.any():
            first = is_valid.argmax()
            return Window(*starts[first].tolist(), *sides[first].tolist())
    return window


def _hold_one(
    starts: ndarray, ends: ndarray, boxes: Float32[ndarray, "n 4"], overlap: float
) -> Bool[ndarray, "tries"]:
    """Which crops hold the middle of a box that has at least this IoU with them."""
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
    """The parts of boxes inside a window, and which boxes have one of a pixel's width and height.

    Args:
        boxes: ``xyxy`` in pixels of the image.
        window: What is seen.
        by_middle: Whether boxes are left out whose middle is outside.
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
    """A window of an image at the network's size.

    The part of the image in the window is resized once, to a rectangle of whole pixels, and the
    rest filled. Boxes go by the same two scales, so that rounding does not part them from pixels.

    Args:
        window: The window.
        image_size: (height, width) of the image.
        size: (height, width) to resize to.
    """

    def __init__(self, window: Window, image_size: tuple[int, int], size: tuple[int, int]) -> None:
        left, top, width, height = window
        (self.x, self.to_x), (self.y, self.to_y) = (
            _spans(left, width, image_size[1], size[1]),
            _spans(top, height, image_size[0], size[0]),
        )
        self.size = size

    def part(self, image: UInt8[ndarray, "h w 3"]) -> UInt8[ndarray, "_ _ 3"]:
        """The image's part in the window, resized."""
        shown = image[self.y[0] : self.y[1], self.x[0] : self.x[1]]
        return resize(shown, (self.to_y[1] - self.to_y[0], self.to_x[1] - self.to_x[0]))

    def filled(self, part: UInt8[ndarray, "_ _ 3"]) -> UInt8[ndarray, "H W 3"]:
        """The resized part in its place."""
        if part.shape[:2] == self.size:
            return part
        (top, bottom), (left, right) = self.to_y, self.to_x
        below, beside = self.size[0] - bottom, self.size[1] - right
        result = cv2.copyMakeBorder(part, top, below, left, beside, cv2.BORDER_CONSTANT, value=FILL)
        return np.asarray(result, np.uint8)

    def boxes(self, boxes: Float32[ndarray, "n 4"]) -> Float32[ndarray, "n 4"]:
        """Boxes of the image in pixels of the view."""
        (x, to_x), (y, to_y) = (self.x, self.to_x), (self.y, self.to_y)
        scales = (to_x[1] - to_x[0]) / (x[1] - x[0]), (to_y[1] - to_y[0]) / (y[1] - y[0])
        origin, start = np.array([x[0], y[0]] * 2), np.array([to_x[0], to_y[0]] * 2)
        moved = np.minimum((boxes - origin) * (scales * 2) + start, self.size[::-1] * 2)
        return np.asarray(moved, np.float32)


def _spans(start: int, length: int, side: int, pixels: int) -> tuple[Span, Span]:
    """Along one axis, what of an image of ``side`` pixels a window shows, and where in the view."""
    first, last = max(start, 0), min(start + length, side)
    low = min(round((first - start) * pixels / length), pixels - 1)
    high = max(round((last - start) * pixels / length), low + 1)
    return (first, last), (low, high)


@dataclass(frozen=True, slots=True)
class AugmentPreset:
    """An augmentation recipe, in the order in which it is applied.

    Attributes:
        photometric: Whether brightness, contrast, saturation and hue change.
        permute: Whether the order of the channels changes with them.
        zoom_out: Whether half of the images are laid on a larger canvas.
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
