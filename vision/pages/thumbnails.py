"""Thumbnails of images with boxes, as ``data:`` URLs for a page."""

# h, w: height and width of an image

import base64
from collections.abc import Iterable, Sequence
from math import ceil, floor
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from vision.errors import DataError
from vision.formats import Record
from vision.images import resize

SIDE = 220
"""Default for the longest side of a thumbnail in pixels."""
MAX_MARGIN = 0.5
"""Maximum margin beyond each border of the image, as a fraction of its side."""
QUALITY = 75
"""JPEG quality."""
MAX_PIXEL = 1000
"""Limit of coordinates in both directions, because those in a file may have any size."""
VISIBLE = 6
"""A box with a side below this, in pixels, is circled."""
BEYOND = (128, 128, 128)
"""Colour (RGB) beyond the borders of the image."""

Frame: TypeAlias = tuple[float, float, float, float]
"""A rectangle (left, top, right, bottom) in pixels of an image, which may extend beyond it."""


class Pen(NamedTuple):
    """The colour (RGB) and the width, in pixels, that boxes are drawn with."""

    colour: tuple[int, int, int]
    width: int


WRONG, RIGHT, MISSED, OTHER = (
    Pen((230, 30, 60), 2),
    Pen((40, 160, 255), 2),
    Pen((255, 190, 0), 2),
    Pen((255, 255, 255), 1),
)


def thumbnail(record: Record | None, boxes: Sequence[Frame]) -> str | None:
    """Draw a whole image as a thumbnail; None if there is no record or it cannot be read.

    Args:
        record: The image; its own boxes are drawn in thin white lines.
        boxes: The wrong boxes, drawn in red; a margin is added if they extend beyond the image.
    """
    if record is None:
        return None
    try:
        image = record.load()
    except DataError:
        return None
    finite = [box for box in boxes if np.isfinite(box).all()]
    layers = [(OTHER, record.boxes.tolist()), (WRONG, finite)]
    return draw_part(image, _frame(record.size, finite), layers)


def draw_part(
    image: UInt8[ndarray, "h w 3"],
    frame: Frame,
    layers: Iterable[tuple[Pen, Iterable[Sequence[float]]]],
    max_scale: float = 1.0,
    side: int = SIDE,
) -> str:
    """Draw a part of an image as a small JPEG, and return it as a ``data:`` URL.

    Args:
        image: The image, RGB.
        frame: The part to draw.
        layers: Pens and the ``xyxy`` boxes to draw with them, from the bottom to the top.
        max_scale: Maximum factor by which the part is enlarged.
        side: Maximum of the longest side of the result in pixels.
    """
    left, top, right, bottom = frame
    scale = min(max_scale, side / max(right - left, bottom - top))
    canvas = np.full(
        (_pixels((bottom - top) * scale), _pixels((right - left) * scale), 3), BEYOND, np.uint8
    )
    x0, y0 = max(0, floor(left)), max(0, floor(top))
    part = image[y0 : max(ceil(bottom), 0), x0 : max(ceil(right), 0)]
    if part.size:
        height, width = (_pixels(length * scale) for length in part.shape[:2])
        x, y = max(0, round((x0 - left) * scale)), max(0, round((y0 - top) * scale))
        place = canvas[y : y + height, x : x + width]
        place[:] = resize(part, (height, width))[: place.shape[0], : place.shape[1]]
    for pen, boxes in layers:
        for box in boxes:
            first, last = (_point(box[k : k + 2], (left, top), scale) for k in (0, 2))
            _outline(canvas, first, last, pen)
    return _as_address(canvas)


def _point(point: Sequence[float], start: tuple[float, float], scale: float) -> tuple[int, int]:
    """The pixel (x, y) of a point in a frame that starts at ``start``, up to `MAX_PIXEL`."""
    x, y = (
        int(np.clip((value - zero) * scale, -MAX_PIXEL, MAX_PIXEL))
        for value, zero in zip(point, start, strict=True)
    )
    return x, y


def _outline(
    canvas: UInt8[ndarray, "h w 3"],
    first: tuple[int, int],
    last: tuple[int, int],
    pen: Pen,
) -> None:
    """Draw a box, and a circle around it if it is too small to be seen."""
    colour, width = pen
    cv2.rectangle(canvas, first, last, colour, width)
    sides = abs(last[0] - first[0]), abs(last[1] - first[1])
    if width > 1 and min(sides) < VISIBLE:
        middle = (first[0] + last[0]) // 2, (first[1] + last[1]) // 2
        cv2.circle(canvas, middle, max(VISIBLE, max(sides) // 2 + VISIBLE), colour, 2, cv2.LINE_AA)


def _frame(size: tuple[int, int], boxes: Sequence[Frame]) -> Frame:
    """The frame of the image and of boxes that extend beyond it, by at most `MAX_MARGIN`."""
    height, width = size
    x, y = width * MAX_MARGIN, height * MAX_MARGIN
    left = min([0.0, *(max(-x, min(box[0], box[2])) for box in boxes)])
    top = min([0.0, *(max(-y, min(box[1], box[3])) for box in boxes)])
    right = max([float(width), *(min(width + x, max(box[0], box[2])) for box in boxes)])
    bottom = max([float(height), *(min(height + y, max(box[1], box[3])) for box in boxes)])
    return left, top, right, bottom


def _pixels(length: float) -> int:
    return max(1, round(length))


def _as_address(image: UInt8[ndarray, "h w 3"]) -> str:
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
