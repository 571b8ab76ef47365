"""Detections and ground truth drawn on an image."""

# n boxes of one image

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8
from numpy import ndarray
from torch import Tensor

from vision.structures import Detections, Target

__all__ = ["draw_detections", "draw_legend", "draw_target"]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAPITAL = 21  # height in pixels of a capital letter at scale 1
_GOLDEN_SECTION = 0.618034
_BLACK, _GREY, _WHITE = (0, 0, 0), (64, 64, 64), (255, 255, 255)
_LEGEND = ("labelled", "found")

Colour = tuple[int, int, int]
Corners = tuple[int, int, int, int]
"""First and last column and row of a box: left, top, right, bottom, all inside the image."""


@dataclass(frozen=True, slots=True)
class _Pen:
    """Widths in pixels that suit an image's size."""

    line: int
    capital: int

    @classmethod
    def of(cls, image: UInt8[ndarray, "h w 3"]) -> "_Pen":
        side = (image.shape[0] + image.shape[1]) / 2
        return cls(max(1, round(side * 0.003)), max(8, round(side * 0.018)))

    @property
    def rimmed(self) -> tuple[tuple[Colour, int], ...]:
        """Colours and widths, one drawn over the other, of a thin white line with a black rim."""
        thin = max(1, self.line // 2)
        return (_BLACK, thin + 2), (_WHITE, thin)

    @property
    def type_size(self) -> tuple[float, int]:
        """OpenCV's scale of the type, and the width of its strokes."""
        return self.capital / _CAPITAL, max(1, self.capital // 10)

    def text_width(self, text: str) -> int:
        """In pixels."""
        (width, _), _ = cv2.getTextSize(text, _FONT, *self.type_size)
        return int(width)


def draw_detections(
    image: UInt8[ndarray, "h w 3"], detections: Detections, names: Sequence[str]
) -> UInt8[ndarray, "h w 3"]:
    """A copy of the image with boxes in a colour for each class, and tags like ``dog 0.87``.

    The best detection is on top. Boxes are cut off at the image's borders; one that lies outside
    is left out.

    Raises:
        ValueError: If a label has no name.
    """
    image = image.copy()
    pen = _Pen.of(image)
    tags = _names(detections.labels, names)
    scores = detections.scores.tolist()
    for index, corners in reversed(list(_visible(detections.boxes, image))):
        colour = _colour(int(detections.labels[index]))
        left, top, right, bottom = corners
        cv2.rectangle(image, (left, top), (right, bottom), colour, pen.line)
        _write(image, f"{tags[index]} {scores[index]:.2f}", corners, colour, pen)
    return image


def draw_target(
    image: UInt8[ndarray, "h w 3"], target: Target, names: Sequence[str]
) -> UInt8[ndarray, "h w 3"]:
    """A copy of the image with the ground truth in thin white lines, dashed where ignored.

    Names stand below the boxes, where the tags of `draw_detections` leave them room.

    Raises:
        ValueError: If a label has no name.
    """
    image = image.copy()
    pen = _Pen.of(image)
    tags = _names(target.labels, names)
    for index, corners in _visible(target.boxes, image):
        dash = 3 * pen.rimmed[0][1] if bool(target.ignore[index]) else max(image.shape)
        for colour, width in pen.rimmed:
            for start, end in _dashes(corners, dash):
                cv2.line(image, start, end, colour, width)
        _write(image, tags[index], corners, _WHITE, pen, below=True)
    return image


def draw_legend(image: UInt8[ndarray, "h w 3"]) -> UInt8[ndarray, "H w 3"]:
    """A copy of the image with a strip below it that says which boxes are whose.

    ``labelled`` stands beside a line as `draw_target` draws it, ``found`` beside one in colours of
    classes, as `draw_detections` does. The two stand side by side, or one below the other where the
    image is too narrow for that, in smaller type where it is too narrow for either.
    """
    pen = _Pen.of(image)
    width = image.shape[1]
    while max(widths := _entry_widths(pen)) > width and pen.capital > 1:
        pen = replace(pen, capital=pen.capital - 1)
    height = 5 * pen.capital // 2
    in_a_row = sum(widths) <= width
    places = ((0, 0), (widths[0], 0) if in_a_row else (0, height))
    strip = np.full((places[1][1] + height, width, 3), _GREY, np.uint8)
    labelled = [(0, 3, colour, thickness) for colour, thickness in pen.rimmed]
    found = [(label, label + 1, _colour(label), pen.line) for label in range(3)]
    for (x, y), word, strokes in zip(places, _LEGEND, (labelled, found), strict=True):
        columns, middle = [x + n * pen.capital for n in range(1, 6)], y + height // 2
        for start, end, colour, thickness in strokes:
            cv2.line(strip, (columns[start], middle), (columns[end], middle), colour, thickness)
        _type(strip, word, (columns[4], middle + pen.capital // 2), _WHITE, pen)
    return np.concatenate([image, strip])


def _entry_widths(pen: _Pen) -> list[int]:
    """Width in pixels of each entry of the legend: margin, line, gap, word, margin."""
    return [6 * pen.capital + pen.text_width(word) for word in _LEGEND]


def _names(labels: Int64[Tensor, "n"], names: Sequence[str]) -> list[str]:
    """The name of each label, with question marks for what cannot be printed.

    OpenCV 4 has question marks for all but ASCII. OpenCV 5 has most scripts, but crashes on half
    a surrogate pair, as a file name in an unknown encoding holds.

    Raises:
        ValueError: If a label has no name.
    """
    for label in labels.tolist():
        if not 0 <= label < len(names):
            raise ValueError(f"label {label} has no name: there are {len(names)} names")
    printable = ["".join(c if c.isprintable() else "?" for c in name) for name in names]
    return [printable[label] for label in labels.tolist()]


def _visible(
    boxes: Float32[Tensor, "n 4"], image: UInt8[ndarray, "h w 3"]
) -> Iterator[tuple[int, Corners]]:
    """Index and corners of each box that touches the image; a box without area gets a pixel."""
    height, width = image.shape[:2]
    for index, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        if x0 < width and y0 < height and x1 > 0 and y1 > 0:  # false where there is a NaN
            left, top = round(max(x0, 0)), round(max(y0, 0))
            right, bottom = round(min(x1, width)) - 1, round(min(y1, height)) - 1
            left, top = min(left, width - 1), min(top, height - 1)
            yield index, (left, top, max(right, left), max(bottom, top))


def _dashes(corners: Corners, dash: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Ends (x, y) of the strokes of a dashed box: every other stretch of ``dash`` pixels."""
    left, top, right, bottom = corners
    for x in range(left, right + 1, 2 * dash):
        for y in (top, bottom):
            yield (x, y), (min(x + dash - 1, right), y)
    for y in range(top, bottom + 1, 2 * dash):
        for x in (left, right):
            yield (x, y), (x, min(y + dash - 1, bottom))


def _write(
    image: UInt8[ndarray, "h w 3"],
    text: str,
    corners: Corners,
    colour: Colour,
    pen: _Pen,
    *,
    below: bool = False,
) -> None:
    """Write a tag at the upper left of a box, or at the lower left; inside the image, in place."""
    left, top, _, bottom = corners
    margin = pen.capital // 3
    width, height = pen.text_width(text) + 2 * margin, pen.capital + 2 * margin
    y = bottom + 1 if below else top - height
    if below and y + height > image.shape[0]:
        y = bottom + 1 - height
    elif y < 0:
        y = top
    x = max(0, min(left, image.shape[1] - width))
    y = max(0, min(y, image.shape[0] - height))
    cv2.rectangle(image, (x, y), (x + width - 1, y + height - 1), colour, cv2.FILLED)
    ink = _BLACK if np.dot(colour, (0.299, 0.587, 0.114)) > 128 else _WHITE
    _type(image, text, (x + margin, y + margin + pen.capital), ink, pen)


def _type(
    image: UInt8[ndarray, "h w 3"], text: str, start: tuple[int, int], ink: Colour, pen: _Pen
) -> None:
    """Write text from the left end (x, y) of its base line, in place."""
    scale, weight = pen.type_size
    cv2.putText(image, text, start, _FONT, scale, ink, weight, cv2.LINE_AA)


def _colour(label: int) -> Colour:
    """RGB of a class: hues by the golden section, so that near labels are far apart."""
    hue = label * _GOLDEN_SECTION % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 1 - 0.15 * (label % 4), 1 - 0.2 * (label % 3))
    return round(255 * red), round(255 * green), round(255 * blue)
