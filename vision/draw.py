"""Drawing detections and ground truth on an image."""

# h and w the height and width of an image, H its height with a legend, n boxes in it

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8
from numpy import ndarray
from torch import Tensor

from vision.tags import Colour, Corners, Style, place_tags

_GOLDEN_RATIO = 0.618034
_GREY, _WHITE = (64, 64, 64), (255, 255, 255)
_LEGEND = ("ground truth", "detections")

__all__ = ["draw_detections", "draw_legend", "draw_target"]


@runtime_checkable
class Labelled(Protocol):
    """What has boxes with labels: `vision.structures.Detections` and `Target`."""

    @property
    def boxes(self) -> Float32[Tensor, "n 4"]:
        """``xyxy`` in pixels."""
        ...

    @property
    def labels(self) -> Int64[Tensor, "n"]:
        """Class indices from 0."""
        ...


@runtime_checkable
class Scored(Labelled, Protocol):
    """Boxes with scores too."""

    @property
    def scores(self) -> Float32[Tensor, "n"]:
        """Confidences in [0, 1], in descending order."""
        ...


@runtime_checkable
class Annotated(Labelled, Protocol):
    """Boxes of ground truth."""

    @property
    def ignore(self) -> Bool[Tensor, "n"]:
        """Which do not count."""
        ...


def draw_detections(
    image: UInt8[ndarray, "h w 3"],
    detections: Scored,
    names: Sequence[str],
    tracks: Sequence[int | None] | None = None,
) -> UInt8[ndarray, "h w 3"]:
    """A copy of the image with boxes in a colour for each class, and tags like ``dog 0.87``.

    The detection with the highest score is on top, and its tag is placed first: others go below or
    into their box, say the class without the score, or are left out where all room is taken. Boxes
    are clipped to the image; a box outside the image is not drawn. Where a detection has a track,
    its tag begins with that, as ``#3 dog 0.87``.

    Raises:
        ValueError: If a label has no name.
    """
    image = image.copy()
    style = Style.for_image(image)
    texts = _names(detections.labels, names)
    if tracks is not None:
        numbered = zip(texts, tracks, strict=True)
        texts = [text if track is None else f"#{track} {text}" for text, track in numbered]
    visible = list(_visible(detections.boxes, image))
    colours = [_colour(label) for label in detections.labels.tolist()]
    for index, corners in reversed(visible):
        cv2.rectangle(image, corners[:2], corners[2:], colours[index], style.line)
    tags = [
        (corners, (f"{texts[index]} {float(detections.scores[index]):.2f}", texts[index]))
        for index, corners in visible
    ]
    for number, text, place in place_tags(tags, image.shape[:2], style):
        style.draw_tag(image, text, place, colours[visible[number][0]])
    return image


def draw_target(
    image: UInt8[ndarray, "h w 3"], target: Annotated, names: Sequence[str]
) -> UInt8[ndarray, "h w 3"]:
    """A copy of the image with the ground truth in thin white lines, dashed where ignored.

    Names are below the boxes, so that the tags of `draw_detections` do not hide them.

    Raises:
        ValueError: If a label has no name.
    """
    image = image.copy()
    style = Style.for_image(image)
    texts, visible = _names(target.labels, names), list(_visible(target.boxes, image))
    for index, corners in visible:
        dash = 3 * style.outlined[0][1] if target.ignore[index] else max(image.shape)
        for colour, width in style.outlined:
            for start, end in _dashes(corners, dash):
                cv2.line(image, start, end, colour, width)
    tags = [(corners, (texts[index],)) for index, corners in visible]
    for _, text, place in place_tags(tags, image.shape[:2], style, below=True):
        style.draw_tag(image, text, place, _WHITE)
    return image


def draw_legend(image: UInt8[ndarray, "h w 3"]) -> UInt8[ndarray, "H w 3"]:
    """A copy of the image with a legend below it, which tells ground truth from detections.

    The entries are side by side, or one below the other if the image is too narrow, in a smaller
    font if necessary.
    """
    style = Style.for_image(image)
    width = image.shape[1]
    while max(widths := _entry_widths(style)) > width and style.capital > 1:
        style = replace(style, capital=style.capital - 1)
    height = 5 * style.capital // 2
    in_a_row = sum(widths) <= width
    places = ((0, 0), (widths[0], 0) if in_a_row else (0, height))
    strip = np.full((places[1][1] + height, width, 3), _GREY, np.uint8)
    truth = [(0, 3, colour, thickness) for colour, thickness in style.outlined]
    detected = [(label, label + 1, _colour(label), style.line) for label in range(3)]
    for (x, y), word, strokes in zip(places, _LEGEND, (truth, detected), strict=True):
        columns, middle = [x + n * style.capital for n in range(1, 6)], y + height // 2
        for start, end, colour, thickness in strokes:
            cv2.line(strip, (columns[start], middle), (columns[end], middle), colour, thickness)
        style.draw_text(strip, word, (columns[4], middle + style.capital // 2), _WHITE)
    return np.concatenate([image, strip])


def _entry_widths(style: Style) -> list[int]:
    """Widths of the legend's entries: margin, line, gap, text, margin."""
    return [6 * style.capital + style.text_width(word) for word in _LEGEND]


def _names(labels: Int64[Tensor, "n"], names: Sequence[str]) -> list[str]:
    """The name of each label, with question marks for characters that are not printable.

    OpenCV 4 itself draws question marks for all characters but ASCII. OpenCV 5 draws most scripts,
    but crashes on a lone surrogate, as in a file name of unknown encoding.
    """
    for label in labels.tolist():
        if not 0 <= label < len(names):
            raise ValueError(f"label {label} has no name: there are {len(names)} names")
    printable = ["".join(c if c.isprintable() else "?" for c in name) for name in names]
    return [printable[label] for label in labels.tolist()]


def _visible(
    boxes: Float32[Tensor, "n 4"], image: UInt8[ndarray, "h w 3"]
) -> Iterator[tuple[int, Corners]]:
    """Index and corners of each box that overlaps the image; each has at least one pixel."""
    height, width = image.shape[:2]
    for index, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        if x0 < width and y0 < height and x1 > 0 and y1 > 0:  # False for NaN.
            left, top = min(round(max(x0, 0)), width - 1), min(round(max(y0, 0)), height - 1)
            right, bottom = round(min(x1, width)) - 1, round(min(y1, height)) - 1
            yield index, (left, top, max(right, left), max(bottom, top))


def _dashes(corners: Corners, dash: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Ends (x, y) of the dashes of a box, with gaps as long as a dash, ``dash`` pixels."""
    left, top, right, bottom = corners
    for x in range(left, right + 1, 2 * dash):
        end = min(x + dash - 1, right)
        yield from (((x, y), (end, y)) for y in (top, bottom))
    for y in range(top, bottom + 1, 2 * dash):
        end = min(y + dash - 1, bottom)
        yield from (((x, y), (x, end)) for x in (left, right))


def _colour(label: int) -> Colour:
    """RGB of a class: hues spaced by the golden ratio, so that near labels differ clearly."""
    hue = label * _GOLDEN_RATIO % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 1 - 0.15 * (label % 4), 1 - 0.2 * (label % 3))
    return round(255 * red), round(255 * green), round(255 * blue)
