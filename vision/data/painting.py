"""Brushes for the drawn scenes: textured grounds, clutter, shapes with soft edges, a camera."""

# v corners of an outline

import functools
import math
from statistics import NormalDist

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8
from numpy import ndarray

__all__ = ["Colour", "fill", "paint_ground", "paint_shape", "photograph"]

Colour = tuple[int, int, int]

_OVERSAMPLING = 4  # sub-pixels along a pixel, for soft edges
_FRACTION_BITS = 4  # of OpenCV's fixed-point coordinates
_TEXTURED_SHARE = 0.5
_EDGED_SHARE = 0.4
_BLURRED_SHARE = 0.5


def fill(mask: UInt8[ndarray, "h w"], outline: Float64[ndarray, "v 2"], value: int) -> None:
    """Set the cells of a mask whose middles lie inside an outline of (x, y) corners."""
    cv2.fillPoly(mask, [_fixed_point(outline)], (value,), shift=_FRACTION_BITS)


def paint_ground(
    rng: np.random.Generator, size: tuple[int, int], first: Colour, second: Colour
) -> UInt8[ndarray, "h w 3"]:
    """A texture between two colours with a few lines and arcs on it, which are not to be found."""
    image = _texture(rng, size, first, second)
    height, width = size
    for _ in range(rng.integers(0, 6)):
        grey, x0, x1, y0, y1, width_share, turn, start, sweep = rng.random(9).tolist()
        colour = (255 * grey, 255 * grey, 255 * grey)
        thickness = 1 + int(width_share * min(size) / 64)
        begin = (int((1.5 * x0 - 0.25) * width), int((1.5 * y0 - 0.25) * height))
        if sweep < 0.5:
            end = (int((1.5 * x1 - 0.25) * width), int((1.5 * y1 - 0.25) * height))
            cv2.line(image, begin, end, colour, thickness, cv2.LINE_AA)
        else:
            axes_wh = (4 + int(x1 * width / 2), 4 + int(y1 * height / 2))
            arc = (360 * turn, 360 * start, 360 * start + 300 * sweep - 90)
            cv2.ellipse(image, begin, axes_wh, *arc, colour, thickness, cv2.LINE_AA)
    return image


def paint_shape(
    rng: np.random.Generator,
    image: UInt8[ndarray, "h w 3"],
    outline: Float64[ndarray, "v 2"],
    box: Float32[ndarray, "4"],
    colour: Colour,
) -> None:
    """Paint a shape over what is there: plain or textured, with an edge or without.

    Args:
        rng: What decides on texture and edge.
        image: RGB; changed in place.
        outline: Corners (x, y) in pixels.
        box: ``xyxy`` in pixels around the part of the outline inside the image.
        colour: RGB.
    """
    x0, y0, x1, y1 = box.tolist()
    left, top, right, bottom = int(x0), int(y0), math.ceil(x1), math.ceil(y1)
    size = (bottom - top, right - left)
    outline = outline - (left, top)
    towards = 0 if rng.random() < 0.5 else 255
    red, green, blue = ((3 * channel + 2 * towards) // 5 for channel in colour)
    shade = (red, green, blue)
    if rng.random() < _TEXTURED_SHARE:
        paint = _texture(rng, size, colour, shade)
    else:
        paint = np.full((*size, 3), colour, np.uint8)
    if rng.random() < _EDGED_SHARE:
        edge = 2 + max(size) // 16
        corners = [_fixed_point(outline)]
        cv2.polylines(
            paint,
            corners,
            isClosed=True,
            color=shade,
            thickness=edge,
            lineType=cv2.LINE_AA,
            shift=_FRACTION_BITS,
        )
    region = image[top:bottom, left:right]
    region[:] = _blend(region, paint, _coverage(outline, size))


def photograph(rng: np.random.Generator, image: UInt8[ndarray, "h w 3"]) -> UInt8[ndarray, "h w 3"]:
    """The image slightly blurred, in another exposure, and with Gaussian noise."""
    if rng.random() < _BLURRED_SHARE:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.9)), np.uint8)
    gain, shift, spread = rng.uniform(0.75, 1.2), rng.uniform(-20, 20), rng.uniform(0, 10)
    levels = (np.arange(256) * gain + shift + 0.5).astype(np.float32)
    noise = _normal_quantiles() * np.float32(spread)
    noisy = levels[image] + noise[rng.integers(0, 256, image.shape, np.uint8)]
    return np.asarray(np.clip(noisy, 0, 255, out=noisy), np.uint8)


def _fixed_point(outline: Float64[ndarray, "v 2"]) -> Int32[ndarray, "v 2"]:
    """Continuous coordinates as OpenCV's, which are 0 at the middle of the first pixel."""
    return np.rint((outline - 0.5) * (1 << _FRACTION_BITS)).astype(np.int32)


def _coverage(outline: Float64[ndarray, "v 2"], size: tuple[int, int]) -> Float32[ndarray, "h w"]:
    """The share of each pixel that lies inside an outline."""
    height, width = size
    mask = np.zeros((height * _OVERSAMPLING, width * _OVERSAMPLING), np.uint8)
    fill(mask, outline * _OVERSAMPLING, 255)
    mask = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA))
    return np.asarray(mask * np.float32(1 / 255))


def _blend(
    below: UInt8[ndarray, "h w 3"], above: UInt8[ndarray, "h w 3"], weight: Float32[ndarray, "h w"]
) -> UInt8[ndarray, "h w 3"]:
    return np.asarray(cv2.blendLinear(above, below, weight, 1 - weight), np.uint8)


def _texture(
    rng: np.random.Generator, size: tuple[int, int], first: Colour, second: Colour
) -> UInt8[ndarray, "h w 3"]:
    """A gradient, stripes, checks or clouds between two colours."""
    height, width = size
    angle = rng.uniform(0, 2 * math.pi)
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    kind = rng.integers(4)
    if kind == 0:
        along = x * cos + y * sin
        levels = (along - along.min()) / (np.ptp(along) + 1)
    elif kind == 1:
        levels = _waves(rng, x * cos + y * sin, min(size))
    elif kind == 2:
        levels = np.abs(
            _waves(rng, x * cos + y * sin, min(size)) - _waves(rng, y * cos - x * sin, min(size))
        )
    else:
        coarse = rng.random(rng.integers(3, 12, 2), dtype=np.float32)
        levels = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    shades = np.linspace(first, second, 256).astype(np.uint8)[:, None]
    scaled = (np.clip(levels, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(scaled, shades), np.uint8)


def _waves(
    rng: np.random.Generator, along: Float32[ndarray, "h w"], side: int
) -> Float32[ndarray, "h w"]:
    """Stripes from 0 to 1 along a coordinate, soft or hard."""
    frequency = np.float32(2 * math.pi / (rng.uniform(0.05, 0.2) * side))
    hardness = np.float32(0.5 if rng.random() < 0.5 else 5)
    return np.asarray(np.clip(np.sin(along * frequency) * hardness + np.float32(0.5), 0, 1))


@functools.cache
def _normal_quantiles() -> Float32[ndarray, "256"]:
    """256 equally likely values of a normal distribution, so that a random byte picks one."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((k + 0.5) / 256) for k in range(256)], np.float32)
