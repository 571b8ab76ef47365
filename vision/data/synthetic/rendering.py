"""Rendering of synthetic scenes: backgrounds, distractors, antialiased shapes, camera noise."""

# v corners of an outline, h and w the height and width of an image or a part of it

import functools
import math
from statistics import NormalDist

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray

from vision.data.synthetic.layout import Colour, PlacedShape, make_layout
from vision.data.synthetic.outlines import FRACTION_BITS, fill, to_fixed_point

_OVERSAMPLING = 4  # sub-pixels along a pixel, for soft edges
_TEXTURED_FRACTION = 0.5
_EDGED_FRACTION = 0.4
_BLURRED_FRACTION = 0.5


def render_scene(seed: int, index: int, size: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
    """The RGB image of the scene whose layout `make_layout` gives for the same arguments.

    Raises:
        ValueError: As `make_layout` does.
    """
    layout = make_layout(seed, index, size)
    rng = np.random.default_rng((seed, index, 1))
    image = _background(rng, size, *layout.background)
    for shape in layout.shapes:
        render_shape(rng, image, shape)
    return _camera(rng, image)


def _background(
    rng: np.random.Generator, size: tuple[int, int], first: Colour, second: Colour
) -> UInt8[ndarray, "h w 3"]:
    """A texture between two colours, with a few lines and arcs as distractors."""
    image = _texture(rng, size, first, second)
    height, width = size
    for _ in range(rng.integers(0, 6)):
        grey, x0, x1, y0, y1, width_fraction, rotation, start, sweep = rng.random(9).tolist()
        colour = (255 * grey, 255 * grey, 255 * grey)
        thickness = 1 + int(width_fraction * min(size) / 64)
        begin = (int((1.5 * x0 - 0.25) * width), int((1.5 * y0 - 0.25) * height))
        if sweep < 0.5:
            end = (int((1.5 * x1 - 0.25) * width), int((1.5 * y1 - 0.25) * height))
            cv2.line(image, begin, end, colour, thickness, cv2.LINE_AA)
        else:
            axes_wh = (4 + int(x1 * width / 2), 4 + int(y1 * height / 2))
            arc = (360 * rotation, 360 * start, 360 * start + 300 * sweep - 90)
            cv2.ellipse(image, begin, axes_wh, *arc, colour, thickness, cv2.LINE_AA)
    return image


def render_shape(
    rng: np.random.Generator, image: UInt8[ndarray, "h w 3"], shape: PlacedShape
) -> None:
    """Render a shape onto an RGB image, in place: plain or textured, with an edge or without."""
    x0, y0, x1, y1 = shape.box.tolist()
    left, top, right, bottom = int(x0), int(y0), math.ceil(x1), math.ceil(y1)
    size = (bottom - top, right - left)
    outline, colour = shape.outline - (left, top), shape.colour
    towards = 0 if rng.random() < 0.5 else 255
    red, green, blue = ((3 * channel + 2 * towards) // 5 for channel in colour)
    shade = (red, green, blue)
    if rng.random() < _TEXTURED_FRACTION:
        surface = _texture(rng, size, colour, shade)
    else:
        surface = np.full((*size, 3), colour, np.uint8)
    if rng.random() < _EDGED_FRACTION:
        corners, thickness = [to_fixed_point(outline)], 2 + max(size) // 16
        closed = True
        cv2.polylines(surface, corners, closed, shade, thickness, cv2.LINE_AA, FRACTION_BITS)
    region = image[top:bottom, left:right]
    coverage = _coverage(outline, size)
    region[:] = cv2.blendLinear(surface, region, coverage, 1 - coverage)


def _camera(rng: np.random.Generator, image: UInt8[ndarray, "h w 3"]) -> UInt8[ndarray, "h w 3"]:
    """The image slightly blurred, with another exposure and Gaussian noise."""
    if rng.random() < _BLURRED_FRACTION:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.9)), np.uint8)
    gain, shift, spread = rng.uniform(0.75, 1.2), rng.uniform(-20, 20), rng.uniform(0, 10)
    levels = (np.arange(256) * gain + shift + 0.5).astype(np.float32)
    noise = _normal_quantiles() * np.float32(spread)
    noisy = levels[image] + noise[rng.integers(0, 256, image.shape, np.uint8)]
    return np.asarray(np.clip(noisy, 0, 255, out=noisy), np.uint8)


def _coverage(outline: Float64[ndarray, "v 2"], size: tuple[int, int]) -> Float32[ndarray, "h w"]:
    """The fraction of each pixel that lies inside an outline."""
    height, width = size
    mask = np.zeros((height * _OVERSAMPLING, width * _OVERSAMPLING), np.uint8)
    fill(mask, outline * _OVERSAMPLING, 255)
    mask = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA))
    return np.asarray(mask * np.float32(1 / 255))


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
    """256 equally likely values of a normal distribution, to be indexed by random bytes."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((k + 0.5) / 256) for k in range(256)], np.float32)
