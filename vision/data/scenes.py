"""Drawn scenes for a first run without a download: coloured shapes on textured grounds.

A scene is planned (`plan_scene`: which shape stands where) before it is painted (`draw_scene`), so
that boxes are listed without painting. Both follow from the seed, the index and the size alone.
"""

# n shapes of a scene, v corners of an outline

import colorsys
import functools
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8
from numpy import ndarray

from vision.data import painting
from vision.data.painting import Colour

__all__ = ["SHAPES", "Plan", "PlannedShape", "Scene", "draw_scene", "plan_scene"]

SHAPES: tuple[str, ...] = ("circle", "square", "star", "triangle")  # a label is an index in this
_CORNERS = {"circle": 64, "square": 4, "star": 10, "triangle": 3}
_STRETCHED = frozenset({"star", "triangle"})
_STAR_WAIST = 0.45  # of the distance from the middle to a tip
_MIN_SIZE = 32
_MAX_SHAPES = 6
_EMPTY_SHARE = 0.1
_SIDE_RANGE = (0.2, 0.5)  # of the image's shorter side
_OVERHANG = 0.1  # the most of a shape's width or height that an image border cuts off
_MIN_VISIBLE = 0.45  # of a shape's area, under the shapes in front of it
_MIN_CONTRAST = 150  # sum of the three channels' differences
_TINT = 0.25  # of a ground's colour that is not grey
_ATTEMPTS = 8
_PLAN_CELLS = 64  # along the shorter side of the map on which overlaps are counted


@dataclass(frozen=True, slots=True, eq=False)
class PlannedShape:
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
class Plan:
    """What a scene will show: shapes from the rearmost to the foremost, on two ground colours."""

    size: tuple[int, int]
    ground: tuple[Colour, Colour]
    shapes: tuple[PlannedShape, ...]

    @property
    def boxes(self) -> Float32[ndarray, "n 4"]:
        """``xyxy`` in pixels."""
        return np.array([shape.box for shape in self.shapes], np.float32).reshape(-1, 4)

    @property
    def labels(self) -> Int64[ndarray, "n"]:
        """Indices in `SHAPES`."""
        return np.array([shape.label for shape in self.shapes], np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A painted scene: RGB, and the boxes (``xyxy`` in pixels) and labels of its shapes."""

    image: UInt8[ndarray, "h w 3"]
    boxes: Float32[ndarray, "n 4"]
    labels: Int64[ndarray, "n"]


def plan_scene(seed: int, index: int, size: tuple[int, int]) -> Plan:
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
    ground = (_muted(rng), _muted(rng))
    num_shapes = 0 if rng.random() < _EMPTY_SHARE else int(rng.integers(1, _MAX_SHAPES + 1))
    colours, areas = list(ground), [0]
    shapes: list[PlannedShape] = []
    cells_per_pixel = _PLAN_CELLS / min(size)
    owners = np.zeros([math.ceil(side * cells_per_pixel) for side in size], np.uint8)
    for _ in range(num_shapes * _ATTEMPTS):
        if len(shapes) == num_shapes:
            break
        label, outline, box = _place(rng, size)
        trial = owners.copy()
        painting.fill(trial, outline * cells_per_pixel, len(areas))
        visible = np.bincount(trial.ravel(), minlength=len(areas) + 1).tolist()
        if any(seen < _MIN_VISIBLE * area for seen, area in zip(visible, areas, strict=False)):
            continue
        owners = trial
        areas.append(visible[-1])
        colours.append(_vivid(rng, colours))
        shapes.append(PlannedShape(label, outline, box, colours[-1]))
    return Plan(size, ground, tuple(shapes))


def draw_scene(seed: int, index: int, size: tuple[int, int]) -> Scene:
    """Scene ``index`` of the series ``seed``, painted at ``size`` (height, width).

    Raises:
        ValueError: As `plan_scene` does.
    """
    plan = plan_scene(seed, index, size)
    rng = np.random.default_rng((seed, index, 1))
    image = painting.paint_ground(rng, size, *plan.ground)
    for shape in plan.shapes:
        painting.paint_shape(rng, image, shape.outline, shape.box, shape.colour)
    return Scene(painting.photograph(rng, image), plan.boxes, plan.labels)


def _muted(rng: np.random.Generator) -> Colour:
    """A colour near grey, for grounds."""
    grey, *tints = rng.random(4).tolist()
    red, green, blue = (int(255 * (_TINT * tint + (1 - _TINT) * grey)) for tint in tints)
    return red, green, blue


def _vivid(rng: np.random.Generator, others: list[Colour]) -> Colour:
    """A saturated colour that stands out from the others, if a few draws give one."""
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
    """Label, outline and box of a shape of random kind, size, turn and place."""
    kind, turn, stretch, side, left, top = rng.random(6).tolist()
    label = int(kind * len(SHAPES))
    cos, sin = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
    stretch = 0.85 + 0.4 * stretch if SHAPES[label] in _STRETCHED else 1.0
    outline = _corners(SHAPES[label]) @ np.array([[stretch * cos, stretch * sin], [-sin, cos]])
    low, high = outline.min(axis=0), outline.max(axis=0)
    share = _SIDE_RANGE[0] + (_SIDE_RANGE[1] - _SIDE_RANGE[0]) * side
    scale = share * min(size) / float((high - low).max())
    width, height = ((high - low) * scale).tolist()
    x0 = left * (size[1] - (1 - 2 * _OVERHANG) * width) - _OVERHANG * width
    y0 = top * (size[0] - (1 - 2 * _OVERHANG) * height) - _OVERHANG * height
    outline = (outline - low) * scale + (x0, y0)
    box = (x0, y0, x0 + width, y0 + height)
    if x0 < 0 or y0 < 0 or box[2] > size[1] or box[3] > size[0]:
        return label, outline, _box_inside(outline, size)
    return label, outline, np.array(box, np.float32)


@functools.cache
def _corners(shape: str) -> Float64[ndarray, "v 2"]:
    """Corners (x, y) around the origin, the outermost of them 1 away from it."""
    angles = np.arange(_CORNERS[shape]) * (2 * math.pi / _CORNERS[shape])
    corners = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if shape == "star":
        corners[1::2] *= _STAR_WAIST
    return corners


def _box_inside(outline: Float64[ndarray, "v 2"], size: tuple[int, int]) -> Float32[ndarray, "4"]:
    """Box of the part of an outline inside an image."""
    height, width = size
    for axis, limit in ((0, width), (1, height)):
        outline = _cut(outline, outline[:, axis])
        outline = _cut(outline, limit - outline[:, axis])
    box = np.concatenate([outline.min(axis=0), outline.max(axis=0)])
    return np.asarray(np.clip(box, 0, (width, height, width, height)), np.float32)


def _cut(outline: Float64[ndarray, "v 2"], depth: Float64[ndarray, "v"]) -> Float64[ndarray, "w 2"]:
    """The part of an outline on one side of a line, by Sutherland and Hodgman's clipping.

    Args:
        outline: Corners (x, y).
        depth: How far each corner lies on the side that is kept; negative on the other side.
    """
    inside = depth >= 0
    if inside.all():
        return outline
    crosses = inside != np.roll(inside, -1)
    step = np.where(crosses, depth - np.roll(depth, -1), 1)
    crossings = outline + (depth / step)[:, None] * (np.roll(outline, -1, axis=0) - outline)
    points = np.stack([outline, crossings], axis=1)
    return np.asarray(points[np.stack([inside, crosses], axis=1)])
