"""Drawing detections and ground truth on an image."""

# h and w the height and width of an image, H its height with a legend, n boxes in it

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8
from numpy import ndarray
from torch import Tensor

from vision.structures import Detections, Target

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT = 21  # of a capital letter at scale 1, in pixels
_GOLDEN_RATIO = 0.618034
_BLACK, _GREY, _WHITE = (0, 0, 0), (64, 64, 64), (255, 255, 255)
_LEGEND = ("ground truth", "detections")

Colour = tuple[int, int, int]
Corners = tuple[int, int, int, int]
"""First and last column and row of a box (left, top, right, bottom), inside the image."""


@dataclass(frozen=True, slots=True)
class _Style:
    """Width of lines and height of capital letters, in pixels, that suit an image's size."""

    line: int
    capital: int

    @classmethod
    def for_image(cls, image: UInt8[ndarray, "h w 3"]) -> "_Style":
        side = (image.shape[0] + image.shape[1]) / 2
        return cls(max(1, round(side * 0.003)), max(8, round(side * 0.018)))

    @property
    def outlined(self) -> tuple[tuple[Colour, int], ...]:
        """Colours and widths of two lines that give a thin white line with a black outline."""
        thin = max(1, self.line // 2)
        return (_BLACK, thin + 2), (_WHITE, thin)

    @property
    def font(self) -> tuple[float, int]:
        """OpenCV's font scale and the thickness of its strokes."""
        return self.capital / _FONT_HEIGHT, max(1, self.capital // 10)

    def text_width(self, text: str) -> int:
        return int(cv2.getTextSize(text, _FONT, *self.font)[0][0])

    def entry_widths(self) -> list[int]:
        """Widths of the legend's entries: margin, line, gap, text, margin."""
        return [6 * self.capital + self.text_width(word) for word in _LEGEND]


def draw_detections(
    image: UInt8[ndarray, "h w 3"],
    detections: Detections,
    names: Sequence[str],
    tracks: Sequence[int | None] | None = None,
) -> UInt8[ndarray, "h w 3"]:
    """A copy of the image with boxes in a colour for each class, and tags like ``dog 0.87``.

    The detection with the highest score is on top. Boxes are clipped to the image; a box outside
    the image is not drawn. Where a detection has a track, the tag is like ``#3 dog 0.87``.

    Raises:
        ValueError: If a label has no name.
    """
    image = image.copy()
    style = _Style.for_image(image)
    tags = _names(detections.labels, names)
    if tracks is not None:
        numbered = zip(tags, tracks, strict=True)
        tags = [name if track is None else f"#{track} {name}" for name, track in numbered]
    for index, corners in reversed(list(_visible(detections.boxes, image))):
        colour = _colour(int(detections.labels[index]))
        cv2.rectangle(image, corners[:2], corners[2:], colour, style.line)
        tag = f"{tags[index]} {float(detections.scores[index]):.2f}"
        _draw_tag(image, tag, corners, colour, style)
    return image


def draw_target(
    image: UInt8[ndarray, "h w 3"], target: Target, names: Sequence[str]
) -> UInt8[ndarray, "h w 3"]:
    """A copy of the image with the ground truth in thin white lines, dashed where ignored.

    Names are below the boxes, so that the tags of `draw_detections` do not hide them.

    Raises:
        ValueError: If a label has no name.
    """
    image = image.copy()
    style = _Style.for_image(image)
    tags, visible = _names(target.labels, names), list(_visible(target.boxes, image))
    for index, corners in visible:
        dash = 3 * style.outlined[0][1] if target.ignore[index] else max(image.shape)
        for colour, width in style.outlined:
            for start, end in _dashes(corners, dash):
                cv2.line(image, start, end, colour, width)
    for index, corners in visible:  # No box crosses a name out.
        _draw_tag(image, tags[index], corners, _WHITE, style, below=True)
    return image


def draw_legend(image: UInt8[ndarray, "h w 3"]) -> UInt8[ndarray, "H w 3"]:
    """A copy of the image with a legend below it, which tells ground truth from detections.

    The entries are side by side, or one below the other if the image is too narrow, in a smaller
    font if necessary.
    """
    style = _Style.for_image(image)
    width = image.shape[1]
    while max(widths := style.entry_widths()) > width and style.capital > 1:
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
        _draw_text(strip, word, (columns[4], middle + style.capital // 2), _WHITE, style)
    return np.concatenate([image, strip])


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


def _draw_tag(
    image: UInt8[ndarray, "h w 3"],
    text: str,
    corners: Corners,
    colour: Colour,
    style: _Style,
    *,
    below: bool = False,
) -> None:
    """Draw a tag at the top left of a box, or at the bottom left, inside the image; in place."""
    left, top, _, bottom = corners
    margin = style.capital // 3
    width, height = style.text_width(text) + 2 * margin, style.capital + 2 * margin
    y = bottom + 1 if below else top - height
    if below and y + height > image.shape[0]:
        y = bottom + 1 - height
    elif y < 0:
        y = top
    x = max(0, min(left, image.shape[1] - width))
    y = max(0, min(y, image.shape[0] - height))
    cv2.rectangle(image, (x, y), (x + width - 1, y + height - 1), colour, cv2.FILLED)
    text_colour = _BLACK if np.dot(colour, (0.299, 0.587, 0.114)) > 128 else _WHITE
    _draw_text(image, text, (x + margin, y + margin + style.capital), text_colour, style)


def _draw_text(
    image: UInt8[ndarray, "h w 3"], text: str, start: tuple[int, int], colour: Colour, style: _Style
) -> None:
    """Draw text from the left end (x, y) of its baseline, in place."""
    cv2.putText(image, text, start, _FONT, style.font[0], colour, style.font[1], cv2.LINE_AA)


def _colour(label: int) -> Colour:
    """RGB of a class: hues spaced by the golden ratio, so that near labels differ clearly."""
    hue = label * _GOLDEN_RATIO % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 1 - 0.15 * (label % 4), 1 - 0.2 * (label % 3))
    return round(255 * red), round(255 * green), round(255 * blue)
