"""The pictures of a report: parts of images with the faults and the labelled boxes."""

# h and w the height and width of an image

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from jaxtyping import UInt8
from numpy import ndarray

from vision.device import num_cores
from vision.errors import DataError
from vision.metrics.analysis import Mistake, Suspect
from vision.metrics.mistakes import Box
from vision.pages import OTHER, WRONG, Frame, draw_part
from vision.report.kinds import ERRORS, SUSPECTS

MARGIN = 0.4
"""Margin around the boxes, as a fraction of their longer side."""
MIN_MARGIN = 16
"""Minimum margin in pixels."""
MAX_SCALE = 4.0
"""Maximum factor by which a part of an image is enlarged."""


class Photo(NamedTuple):
    """An image of an evaluation.

    Attributes:
        name: File name, to show.
        read: Returns the image as RGB; raises `DataError` if it cannot be read.
        boxes: The labelled boxes.
    """

    name: str
    read: Callable[[], UInt8[ndarray, "h w 3"]]
    boxes: Sequence[Box]


class Picture(NamedTuple):
    """A picture of a fault.

    Attributes:
        kind: A key of `ERRORS` or `SUSPECTS`.
        label: Class of the detection or of the box.
        true: Class of the labelled box at this place; empty without one.
        caption: The line below the picture.
        name: Name of the image.
        image: The picture as a ``data:`` URL.
    """

    kind: str
    label: str
    true: str
    caption: str
    name: str
    image: str


class Line(NamedTuple):
    """A label suspect in words.

    Attributes:
        kind: A key of `SUSPECTS`.
        label: Class of the detection or of the box.
        true: Class of the labelled box at this place; empty without one.
        text: File, kind, class and score of the suspect.
    """

    kind: str
    label: str
    true: str
    text: str


def draw_gallery(
    faults: Sequence[Mistake | Suspect], photos: Sequence[Photo], names: Sequence[str]
) -> list[Picture]:
    """Draw pictures of the faults, in their order; those with unreadable images are left out.

    Args:
        faults: The mistakes and suspects to draw.
        photos: The images of the evaluation.
        names: Class names in label order.
    """
    by_image: dict[int, list[int]] = defaultdict(list)
    for index, fault in enumerate(faults):
        by_image[fault.image].append(index)

    def draw(image: int) -> dict[int, Picture]:
        photo = photos[image]
        try:
            pixels = photo.read()
        except DataError:
            return {}
        return {index: _draw(faults[index], photo, pixels, names) for index in by_image[image]}

    drawn: dict[int, Picture] = {}
    with ThreadPoolExecutor(num_cores()) as pool:
        for pictures in pool.map(draw, by_image):
            drawn |= pictures
    return [drawn[index] for index in sorted(drawn)]


def list_suspects(
    suspects: Sequence[Suspect], photos: Sequence[Photo], names: Sequence[str]
) -> list[Line]:
    """List the suspects in words, sorted by file, for correcting the labels.

    Args:
        suspects: The most suspicious first.
        photos: The images of the evaluation.
        names: Class names in label order.
    """
    lines = []
    for suspect in suspects:
        label, true = _classes(suspect, names)
        found = label if suspect.kind != "other class" else f"{label} labelled {true}"
        score = "" if suspect.score is None else f" ({suspect.score:.2f})"
        text = f"{photos[suspect.image].name}: {suspect.kind}, {found}{score}"
        lines.append(Line(suspect.kind, label, true, text))
    return sorted(lines, key=lambda line: line.text)


def _classes(fault: Mistake | Suspect, names: Sequence[str]) -> tuple[str, str]:
    """The class of a fault, and the class of the labelled box, or an empty text without one."""
    return names[fault.label], "" if fault.true_label is None else names[fault.true_label]


def _draw(
    fault: Mistake | Suspect, photo: Photo, image: UInt8[ndarray, "h w 3"], names: Sequence[str]
) -> Picture:
    label, true = _classes(fault, names)
    shown, iou = [fault.box], ""
    if isinstance(fault, Mistake):
        iou = f"{fault.iou:.2f}"
        shown += [fault.true_box] if fault.true_box else []
    score = "" if fault.score is None else f"{fault.score:.2f}"
    kind = (ERRORS | SUSPECTS)[fault.kind]
    caption = kind.caption.format(label=label, score=score, true=true, iou=iou)
    frame = _frame(shown, image.shape[:2])
    layers = [(OTHER, photo.boxes), (WRONG, [fault.box])]
    part = draw_part(image, frame, layers, MAX_SCALE)
    return Picture(fault.kind, label, true, caption, photo.name, part)


def _frame(boxes: Sequence[Box], size: Sequence[int]) -> Frame:
    """The part of an image of ``size`` (height, width) with the boxes and a margin around them."""
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    margin = max(MIN_MARGIN, MARGIN * max(max(x1) - min(x0), max(y1) - min(y0)))
    left, top = max(0.0, min(x0) - margin), max(0.0, min(y0) - margin)
    right, bottom = float(min(size[1], max(x1) + margin)), float(min(size[0], max(y1) + margin))
    return left, top, max(right, left + 1), max(bottom, top + 1)
