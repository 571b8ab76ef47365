"""Which shape is where in a synthetic scene, so that boxes are listed without rendering.

A layout depends on the seed, the index and the size alone.
"""

# n shapes of a scene, v corners of an outline

import colorsys
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numpy import ndarray

from vision.data.synthetic.outlines import SHAPES, box_inside, fill, unit_outline

Colour = tuple[int, int, int]

_STRETCHED = frozenset({"star", "triangle"})
_MIN_SIZE = 32
_MAX_SHAPES = 6
_EMPTY_FRACTION = 0.1
_SIDE_RANGE = (0.2, 0.5)  # of the image's shorter side
_MAX_OVERHANG = 0.1  # fraction of a shape's width or height that an image border may cut off
_MIN_VISIBLE = 0.45  # fraction of a shape's area that the shapes in front leave visible
_MIN_CONTRAST = 150  # sum of the three channels' differences
_TINT = 0.25  # weight of the random hue in a background colour; the rest is grey
_ATTEMPTS = 8
_GRID_CELLS = 64  # along the shorter side of the raster on which overlaps are counted


@dataclass(frozen=True, slots=True, eq=False)
class PlacedShape:
    """One shape of a scene.

    Attributes:
        label: Index in `SHAPES`.
        outline: Corners (x, y) in pixels; some may lie outside the image.
        box: ``xyxy`` in pixels around the part of the outline inside the image, hidden or not.
        colour: RGB.
    """

    label: int
    outline: Float64[ndarray, "v 2"]
    box: Float32[ndarray, "4"]
    colour: Colour


@dataclass(frozen=True, slots=True, eq=False)
class SceneLayout:
    """The contents of a scene: shapes from back to front, and the two background colours."""

    size: tuple[int, int]
    background: tuple[Colour, Colour]
    shapes: tuple[PlacedShape, ...]

    @property
    def boxes(self) -> Float32[ndarray, "n 4"]:
        """``xyxy`` in pixels."""
        return np.array([shape.box for shape in self.shapes], np.float32).reshape(-1, 4)

    @property
    def labels(self) -> Int64[ndarray, "n"]:
        """Indices in `SHAPES`."""
        return np.array([shape.label for shape in self.shapes], np.int64)


def make_layout(seed: int, index: int, size: tuple[int, int]) -> SceneLayout:
    """The shapes of scene ``index`` of the series ``seed``, on an image of ``size``.

    About one scene in ten is empty, the others have up to six shapes. A shape's longer side is
    20% to 50% of the image's shorter side; others hide at most about 60% of its area.

    Raises:
        ValueError: If a side of ``size`` (height, width) is under 32, or the seed or the index
            is negative.
    """
    if min(size) < _MIN_SIZE:
        raise ValueError(f"scene size {size}: expected sides of at least {_MIN_SIZE} pixels")
    rng = np.random.default_rng((seed, index))
    background = (_greyish(rng), _greyish(rng))
    num_shapes = 0 if rng.random() < _EMPTY_FRACTION else int(rng.integers(1, _MAX_SHAPES + 1))
    # Shape i of the list, placed over those before it, is number i + 1 on a coarse raster;
    # 0 is background, whose required area is 0.
    colours, areas = list(background), [0]
    shapes: list[PlacedShape] = []
    cells_per_pixel = _GRID_CELLS / min(size)
    owners = np.zeros([math.ceil(side * cells_per_pixel) for side in size], np.uint8)
    for _ in range(num_shapes * _ATTEMPTS):
        if len(shapes) == num_shapes:
            break
        label, outline, box = _place(rng, size)
        trial = owners.copy()
        fill(trial, outline * cells_per_pixel, len(areas))
        visible = np.bincount(trial.ravel(), minlength=len(areas) + 1).tolist()
        if any(seen < _MIN_VISIBLE * area for seen, area in zip(visible, areas, strict=False)):
            continue
        owners = trial
        areas.append(visible[-1])
        colours.append(_vivid(rng, colours))
        shapes.append(PlacedShape(label, outline, box, colours[-1]))
    return SceneLayout(size, background, tuple(shapes))


def _greyish(rng: np.random.Generator) -> Colour:
    """A colour near grey, for backgrounds."""
    grey, *tints = rng.random(4).tolist()
    red, green, blue = (int(255 * (_TINT * tint + (1 - _TINT) * grey)) for tint in tints)
    return red, green, blue


def _vivid(rng: np.random.Generator, others: list[Colour]) -> Colour:
    """A saturated colour that stands out from the others, if a few attempts give one."""
    for _ in range(_ATTEMPTS):
        hue, saturation, value = rng.random(3).tolist()
        channels = colorsys.hsv_to_rgb(hue, 0.7 + 0.3 * saturation, 0.6 + 0.4 * value)
        red, green, blue = (int(255 * channel) for channel in channels)
        contrasts = (abs(red - r) + abs(green - g) + abs(blue - b) for r, g, b in others)
        if all(contrast >= _MIN_CONTRAST for contrast in contrasts):
            break
    return red, green, blue


def _place(
    rng: np.random.Generator, size: tuple[int, int]
) -> tuple[int, Float64[ndarray, "v 2"], Float32[ndarray, "4"]]:
    """Label, outline and box of a shape of random kind, size, rotation and position."""
    kind, rotation, stretch, side, left, top = rng.random(6).tolist()
    label = int(kind * len(SHAPES))
    cos, sin = math.cos(2 * math.pi * rotation), math.sin(2 * math.pi * rotation)
    stretch = 0.85 + 0.4 * stretch if SHAPES[label] in _STRETCHED else 1.0
    outline = unit_outline(SHAPES[label]) @ np.array([[stretch * cos, stretch * sin], [-sin, cos]])
    low, high = outline.min(axis=0), outline.max(axis=0)
    fraction = _SIDE_RANGE[0] + (_SIDE_RANGE[1] - _SIDE_RANGE[0]) * side
    scale = fraction * min(size) / float((high - low).max())
    width, height = ((high - low) * scale).tolist()
    x0 = left * (size[1] - (1 - 2 * _MAX_OVERHANG) * width) - _MAX_OVERHANG * width
    y0 = top * (size[0] - (1 - 2 * _MAX_OVERHANG) * height) - _MAX_OVERHANG * height
    outline = (outline - low) * scale + (x0, y0)
    box = (x0, y0, x0 + width, y0 + height)
    if x0 < 0 or y0 < 0 or box[2] > size[1] or box[3] > size[0]:
        return label, outline, box_inside(outline, size)
    return label, outline, np.array(box, np.float32)
