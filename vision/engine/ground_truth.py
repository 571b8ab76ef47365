"""Drawing ground truth on an image, under the detections and with a legend."""

# h and w the height and width of an image, H its height with a legend

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from vision.draw import Corners, Style, class_colour, label_names, place_tags, visible_corners
from vision.structures import Target

_GREY, _WHITE = (64, 64, 64), (255, 255, 255)
_LEGEND = ("ground truth", "detections")


def draw_target(
    image: UInt8[ndarray, "h w 3"], target: Target, names: Sequence[str]
) -> UInt8[ndarray, "h w 3"]:
    """A copy of the image with the ground truth in thin white lines, dashed where ignored.

    Names are below the boxes, so that the tags of `draw_detections` do not hide them.

    Raises:
        ValueError: If a label has no name.
    """
    image = image.copy()
    style = Style.for_image(image)
    texts, visible = label_names(target.labels, names), list(visible_corners(target.boxes, image))
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
    detected = [(label, label + 1, class_colour(label), style.line) for label in range(3)]
    for (x, y), word, strokes in zip(places, _LEGEND, (truth, detected), strict=True):
        columns, middle = [x + n * style.capital for n in range(1, 6)], y + height // 2
        for start, end, colour, thickness in strokes:
            cv2.line(strip, (columns[start], middle), (columns[end], middle), colour, thickness)
        style.draw_text(strip, word, (columns[4], middle + style.capital // 2), _WHITE)
    return np.concatenate([image, strip])


def _entry_widths(style: Style) -> list[int]:
    """Widths of the legend's entries: margin, line, gap, text, margin."""
    return [6 * style.capital + style.text_width(word) for word in _LEGEND]


def _dashes(corners: Corners, dash: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Ends (x, y) of the dashes of a box, with gaps as long as a dash, ``dash`` pixels."""
    left, top, right, bottom = corners
    for x in range(left, right + 1, 2 * dash):
        end = min(x + dash - 1, right)
        yield from (((x, y), (end, y)) for y in (top, bottom))
    for y in range(top, bottom + 1, 2 * dash):
        end = min(y + dash - 1, bottom)
        yield from (((x, y), (x, end)) for x in (left, right))
