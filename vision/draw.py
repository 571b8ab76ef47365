"""Drawing detections on an image: boxes in their classes' colours, tags that do not overlap."""

# h and w the height and width of an image, n boxes in it

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8
from numpy import ndarray
from torch import Tensor

__all__ = [
    "Colour",
    "Corners",
    "Style",
    "class_colour",
    "draw_detections",
    "label_names",
    "place_tags",
    "visible_corners",
]

Colour = tuple[int, int, int]
Corners = tuple[int, int, int, int]
"""First and last column and row of a rectangle (left, top, right, bottom)."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT = 21  # of a capital letter at scale 1, in pixels
_USUAL_CAPITAL, _MIN_CAPITAL = 8, 6  # minimum in most images, and in the smallest
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


@runtime_checkable
class _Scored(Protocol):
    """The columns of `vision.detections.Detections`."""

    @property
    def boxes(self) -> Float32[Tensor, "n 4"]: ...
    @property
    def labels(self) -> Int64[Tensor, "n"]: ...
    @property
    def scores(self) -> Float32[Tensor, "n"]: ...


def draw_detections(
    image: UInt8[ndarray, "h w 3"],
    detections: _Scored,
    names: Sequence[str],
    tracks: Sequence[int | None] | None = None,
) -> UInt8[ndarray, "h w 3"]:
    """Draw boxes in their classes' colours, and tags such as ``dog 0.87``, on a copy of the image.

    The detection with the highest score is on top, and its tag is placed first: others go below or
    into their box, show the class without the score, or are left out if there is no room. Boxes
    are clipped to the image; a box outside the image is not drawn. If a detection has a track, its
    tag begins with the track's number: ``#3 dog 0.87``.

    Raises:
        ValueError: If a label has no name.
    """
    image = image.copy()
    style = Style.for_image(image)
    texts = label_names(detections.labels, names)
    if tracks is not None:
        numbered = zip(texts, tracks, strict=True)
        texts = [text if track is None else f"#{track} {text}" for text, track in numbered]
    visible = list(visible_corners(detections.boxes, image))
    colours = [class_colour(label) for label in detections.labels.tolist()]
    for index, corners in reversed(visible):
        cv2.rectangle(image, corners[:2], corners[2:], colours[index], style.line)
    scores = detections.scores.tolist()
    tags = [(at, (f"{texts[index]} {scores[index]:.2f}", texts[index])) for index, at in visible]
    for number, text, place in place_tags(tags, image.shape[:2], style):
        style.draw_tag(image, text, place, colours[visible[number][0]])
    return image


@dataclass(frozen=True, slots=True)
class Style:
    """Width of lines and height of capital letters in pixels, chosen for an image's size."""

    line: int
    capital: int

    @classmethod
    def for_image(cls, image: UInt8[ndarray, "h w 3"]) -> "Style":
        """Choose the style for an image; type is smaller if its sides are below 200 pixels."""
        side = (image.shape[0] + image.shape[1]) / 2
        capital = max(round(side * 0.018), min(_USUAL_CAPITAL, round(side * 0.04)), _MIN_CAPITAL)
        return cls(max(1, round(side * 0.003)), capital)

    @property
    def outlined(self) -> tuple[tuple[Colour, int], ...]:
        """Colours and widths of two lines that make a thin white line with a black outline."""
        thin = max(1, self.line // 2)
        return (_BLACK, thin + 2), (_WHITE, thin)

    def text_width(self, text: str) -> int:
        """Width of a text in pixels."""
        return int(cv2.getTextSize(text, _FONT, *self._font)[0][0])

    def draw_text(
        self, image: UInt8[ndarray, "h w 3"], text: str, start: tuple[int, int], colour: Colour
    ) -> None:
        """Draw text from the left end (x, y) of its baseline, in place."""
        scale, thickness = self._font
        cv2.putText(image, text, start, _FONT, scale, colour, thickness, cv2.LINE_AA)

    def draw_tag(
        self, image: UInt8[ndarray, "h w 3"], text: str, place: Corners, colour: Colour
    ) -> None:
        """Draw a filled tag with its text at a place from `place_tags`, changing the image."""
        cv2.rectangle(image, place[:2], place[2:], colour, cv2.FILLED)
        text_colour = _BLACK if np.dot(colour, (0.299, 0.587, 0.114)) > 128 else _WHITE
        start = place[0] + self.capital // 3, place[1] + self.capital // 3 + self.capital
        self.draw_text(image, text, start, text_colour)

    def tag_size(self, text: str) -> tuple[int, int]:
        """Height and width of a tag in pixels."""
        margins = 2 * (self.capital // 3)
        return self.capital + margins, self.text_width(text) + margins

    @property
    def _font(self) -> tuple[float, int]:
        """OpenCV's font scale and the thickness of its strokes."""
        return self.capital / _FONT_HEIGHT, max(1, self.capital // 10)


def place_tags(
    tags: Sequence[tuple[Corners, Sequence[str]]],
    size: tuple[int, int],
    style: Style,
    *,
    below: bool = False,
) -> Iterator[tuple[int, str, Corners]]:
    """Find places inside the image where no tag covers another; earlier tags choose first.

    Args:
        tags: The corners of each box inside the image, and its texts, the preferred one first.
        size: (height, width) of the image.
        style: Style of the text.
        below: Whether to try the place below a box before the place above it.

    Yields:
        Index, text and place of each tag for which there is room, with the first text that fits.
    """
    taken: list[Corners] = []
    for number, (corners, texts) in enumerate(tags):
        for text in texts:
            places = _places(corners, style.tag_size(text), size, below=below)
            if free := [place for place in places if not _is_covered(place, taken)]:
                taken.append(free[0])
                yield number, text, free[0]
                break


def _places(
    corners: Corners, tag_size: tuple[int, int], size: tuple[int, int], *, below: bool
) -> list[Corners]:
    """List the places at the corners of a box, outside and inside it, that fit into the image."""
    (height, width), (left, top, right, bottom) = tag_size, corners
    last_x, last_y = max(0, size[1] - width), max(0, size[0] - height)
    rows = [top - height, top, bottom + 1, bottom + 1 - height]
    rows = rows[2:] + rows[:2] if below else rows
    rows = [y for y in rows if 0 <= y <= last_y] or [min(max(rows[0], 0), last_y)]
    columns = dict.fromkeys(min(max(x, 0), last_x) for x in (left, right + 1 - width))
    return [(x, y, x + width - 1, y + height - 1) for x in columns for y in rows]


def _is_covered(place: Corners, taken: Sequence[Corners]) -> bool:
    """Whether a place overlaps one that is taken."""
    left, top, right, bottom = place
    return any(
        left <= other[2] and other[0] <= right and top <= other[3] and other[1] <= bottom
        for other in taken
    )


def label_names(labels: Int64[Tensor, "n"], names: Sequence[str]) -> list[str]:
    """Return the name of each label, with question marks for characters that are not printable.

    OpenCV 4 itself draws question marks for all but ASCII; OpenCV 5 crashes on a lone surrogate.
    """
    for label in labels.tolist():
        if not 0 <= label < len(names):
            raise ValueError(f"label {label} has no name: there are {len(names)} names")
    used = [names[label] for label in labels.tolist()]
    return ["".join(c if c.isprintable() else "?" for c in name) for name in used]


def visible_corners(
    boxes: Float32[Tensor, "n 4"], image: UInt8[ndarray, "h w 3"]
) -> Iterator[tuple[int, Corners]]:
    """Yield index and corners of each box that overlaps the image; at least one pixel each."""
    height, width = image.shape[:2]
    for index, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        if x0 < width and y0 < height and x1 > 0 and y1 > 0:  # False for NaN.
            left, top = min(round(max(x0, 0)), width - 1), min(round(max(y0, 0)), height - 1)
            right, bottom = round(min(x1, width)) - 1, round(min(y1, height)) - 1
            yield index, (left, top, max(right, left), max(bottom, top))


def class_colour(label: int) -> Colour:
    """RGB of a class: hues spaced by the golden ratio, so that near labels differ clearly."""
    hue = label * 0.618034 % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 1 - 0.15 * (label % 4), 1 - 0.2 * (label % 3))
    return round(255 * red), round(255 * green), round(255 * blue)
