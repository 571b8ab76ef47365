"""Polygons of the synthetic shapes: their corners, their raster, and their part inside an image."""

# v corners of an outline, w corners of it after clipping

import functools
import math

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8
from numpy import ndarray

SHAPES: tuple[str, ...] = ("circle", "square", "star", "triangle")
"""Class names; a label is an index in this tuple."""

FRACTION_BITS = 4
"""Fractional bits of the fixed-point coordinates passed to OpenCV."""

_NUM_CORNERS = {"circle": 64, "square": 4, "star": 10, "triangle": 3}
_STAR_INNER_RADIUS = 0.45  # relative to the outer radius


@functools.cache
def unit_outline(shape: str) -> Float64[ndarray, "v 2"]:
    """Corners (x, y) around the origin, the outermost at distance 1."""
    angles = np.arange(_NUM_CORNERS[shape]) * (2 * math.pi / _NUM_CORNERS[shape])
    corners = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if shape == "star":
        corners[1::2] *= _STAR_INNER_RADIUS
    return corners


def to_fixed_point(outline: Float64[ndarray, "v 2"]) -> Int32[ndarray, "v 2"]:
    """Continuous coordinates as OpenCV's, whose origin is the centre of the first pixel."""
    return np.rint((outline - 0.5) * (1 << FRACTION_BITS)).astype(np.int32)


def fill(mask: UInt8[ndarray, "h w"], outline: Float64[ndarray, "v 2"], value: int) -> None:
    """Set the cells of a mask whose centres lie inside an outline of (x, y) corners, in place."""
    cv2.fillPoly(mask, [to_fixed_point(outline)], (value,), shift=FRACTION_BITS)


def box_inside(outline: Float64[ndarray, "v 2"], size: tuple[int, int]) -> Float32[ndarray, "4"]:
    """Bounding box of the part of an outline inside an image of ``size`` (height, width)."""
    height, width = size
    for axis, limit in ((0, width), (1, height)):
        outline = _clip(outline, outline[:, axis])
        outline = _clip(outline, limit - outline[:, axis])
    box = np.concatenate([outline.min(axis=0), outline.max(axis=0)])
    return np.asarray(np.clip(box, 0, (width, height, width, height)), np.float32)


def _clip(
    outline: Float64[ndarray, "v 2"], depth: Float64[ndarray, "v"]
) -> Float64[ndarray, "w 2"]:
    """The part of an outline on one side of a line (Sutherland-Hodgman clipping).

    Args:
        outline: Corners (x, y).
        depth: Signed distance of each corner from the line, positive on the side that is kept.
    """
    inside = depth >= 0
    if inside.all():
        return outline
    # An edge whose ends lie on different sides adds the point at which it crosses the line.
    crosses = inside != np.roll(inside, -1)
    step = np.where(crosses, depth - np.roll(depth, -1), 1)
    crossings = outline + (depth / step)[:, None] * (np.roll(outline, -1, axis=0) - outline)
    points = np.stack([outline, crossings], axis=1)
    return np.asarray(points[np.stack([inside, crosses], axis=1)])
