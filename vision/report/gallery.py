"""The pictures of a report: parts of images, with what is wrong and what is labelled."""

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
"""What is shown around the boxes, as a fraction of their longer side."""
MIN_MARGIN = 16
"""The same in pixels, at least."""
MAX_SCALE = 4.0
"""How much a part of an image is enlarged, at most."""


class Photo(NamedTuple):
    """An image of an evaluation.

    Attributes:
        name: Its name for people.
        read: Returns it as RGB; raises `DataError` if that is not possible.
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
        true: Class that is labelled there; empty if none is.
        caption: The line below it.
        name: The image's name.
        image: The picture as a ``data:`` address.
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
        true: Class that is labelled there; empty if none is.
        text: Its file, kind, class and score.
    """

    kind: str
    label: str
    true: str
    text: str


def draw_gallery(
    faults: Sequence[Mistake | Suspect], photos: Sequence[Photo], names: Sequence[str]
) -> list[Picture]:
    """Pictures of faults, in their order, without those whose image cannot be read.

    Args:
        faults: What is shown.
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
    """The suspects in words, for people who mend the labels, by file.

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
    """The class of a fault and the one that is labelled there, if any is."""
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
    """The part of an image of ``size`` (height, width) that shows the boxes and what is around."""
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    margin = max(MIN_MARGIN, MARGIN * max(max(x1) - min(x0), max(y1) - min(y0)))
    left, top = max(0.0, min(x0) - margin), max(0.0, min(y0) - margin)
    right, bottom = float(min(size[1], max(x1) + margin)), float(min(size[0], max(y1) + margin))
    return left, top, max(right, left + 1), max(bottom, top + 1)
