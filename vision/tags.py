"""Tags of boxes in a picture: their type, and where there is room for them."""

# h and w the height and width of an image, m candidates, t tags that are placed

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

Colour = tuple[int, int, int]
Corners = tuple[int, int, int, int]
"""First and last column and row of a rectangle (left, top, right, bottom)."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT = 21  # of a capital letter at scale 1, in pixels
_USUAL_CAPITAL, _MIN_CAPITAL = 8, 6  # in most images at least, and in the smallest
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Style:
    """Width of lines and height of capital letters, in pixels, that suit an image's size."""

    line: int
    capital: int

    @classmethod
    def for_image(cls, image: UInt8[ndarray, "h w 3"]) -> "Style":
        """The style of an image, with smaller type if its sides are below 200 pixels."""
        side = (image.shape[0] + image.shape[1]) / 2
        capital = max(round(side * 0.018), min(_USUAL_CAPITAL, round(side * 0.04)), _MIN_CAPITAL)
        return cls(max(1, round(side * 0.003)), capital)

    @property
    def outlined(self) -> tuple[tuple[Colour, int], ...]:
        """Colours and widths of two lines that give a thin white line with a black outline."""
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
        """Fill a place of `place_tags` and write its text, in place."""
        cv2.rectangle(image, place[:2], place[2:], colour, cv2.FILLED)
        text_colour = _BLACK if np.dot(colour, (0.299, 0.587, 0.114)) > 128 else _WHITE
        start = place[0] + self._margin, place[1] + self._margin + self.capital
        self.draw_text(image, text, start, text_colour)

    def tag_size(self, text: str) -> tuple[int, int]:
        """Height and width of a tag in pixels."""
        return self.capital + 2 * self._margin, self.text_width(text) + 2 * self._margin

    @property
    def _font(self) -> tuple[float, int]:
        """OpenCV's font scale and the thickness of its strokes."""
        return self.capital / _FONT_HEIGHT, max(1, self.capital // 10)

    @property
    def _margin(self) -> int:
        return self.capital // 3


def place_tags(
    tags: Sequence[tuple[Corners, Sequence[str]]],
    size: tuple[int, int],
    style: Style,
    *,
    below: bool = False,
) -> Iterator[tuple[int, str, Corners]]:
    """Places inside the image in which no tag covers another; earlier tags have the choice.

    Args:
        tags: The corners of each box inside the image, and its texts, the best first.
        size: (height, width) of the image.
        style: Of the text.
        below: Whether the place below a box comes before that above it.

    Yields:
        Number, text and place of each tag. The first text that has room at the box counts; a tag
        without any is left out.
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
    """Places at the ends of a box, outside and inside, those that the image has room for."""
    (height, width), (left, top, right, bottom) = tag_size, corners
    last_x, last_y = max(0, size[1] - width), max(0, size[0] - height)
    rows = [top - height, top, bottom + 1, bottom + 1 - height]
    rows = rows[2:] + rows[:2] if below else rows
    rows = [y for y in rows if 0 <= y <= last_y] or [min(max(rows[0], 0), last_y)]
    columns = dict.fromkeys(min(max(x, 0), last_x) for x in (left, right + 1 - width))
    return [(x, y, x + width - 1, y + height - 1) for x in columns for y in rows]


def _is_covered(place: Corners, taken: Sequence[Corners]) -> bool:
    """Whether a place has a pixel of those that are taken."""
    left, top, right, bottom = place
    return any(
        left <= other[2] and other[0] <= right and top <= other[3] and other[1] <= bottom
        for other in taken
    )
