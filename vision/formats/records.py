"""Records of images and their objects: what each annotation format is converted to."""

# n objects of one image, h and w its height and width

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from numpy import ndarray

import vision.boxes as box_ops
from vision.errors import DataError
from vision.files import AnyFile, Member
from vision.formats.paths import nfc
from vision.image_info import image_size, lacks_end
from vision.images import read_image
from vision.structures import Target

ROUNDING = 1e-3
"""Pixels by which a box may exceed its image without being reported: fractions are rounded."""
SWAPPED = "boxes whose corners were swapped"
"""The irregularity of a box whose left side exceeds its right, or whose top exceeds its bottom."""


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 box``, ``2 boxes``, ``1,000 images``."""
    plural = f"{noun}{'es' if noun.endswith(('x', 's')) else 's'}"
    return f"{number:,} {noun if number == 1 else plural}"


class Fault(NamedTuple):
    """The reason why an image or its annotation cannot be used.

    Attributes:
        kind: A short stable name, such as ``unreadable image``.
        where: The file.
        message: The error message, in one line.
    """

    kind: str
    where: str
    message: str


class Tally:
    """Irregularities in the data that do not prevent reading them.

    Attributes:
        places: The places of each kind of irregularity, in reading order.
    """

    def __init__(self) -> None:
        self.places: dict[str, list[str]] = {}

    @property
    def counts(self) -> Counter[str]:
        """Number of irregularities of each kind."""
        return Counter({what: len(places) for what, places in self.places.items()})

    def note(self, what: str, where: object) -> None:
        """Count one irregularity of the kind ``what``, such as ``boxes without area dropped``."""
        self.places.setdefault(what, []).append(str(where))

    def lines(self) -> list[str]:
        """One line for each kind, such as ``boxes without area dropped: 2 (first: a.xml)``."""
        return [
            f"{what}: {len(places):,} ({'first: ' * (len(places) > 1)}{places[0]})"
            for what, places in self.places.items()
        ]

    def add(self, other: "Tally") -> None:
        """Add the irregularities of another tally."""
        for what, places in other.places.items():
            self.places.setdefault(what, []).extend(places)


class AnnotatedObject(NamedTuple):
    """One object as an annotation file lists it; ``box`` is xyxy, 0-based and continuous."""

    name: str
    box: tuple[float, float, float, float]
    ignore: bool = False
    crowd: bool = False
    area: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One image and its objects.

    Attributes:
        image_id: The image's name in messages: its path, or the name of a synthetic image.
        read: Function that returns the image, RGB.
        size: (height, width) of the image.
        boxes: ``xyxy`` in pixels, inside the image, each with a positive area.
        names: Class name of each box.
        ignore: As in `vision.structures.Target`.
        crowd: As in `vision.structures.Target`.
        areas: As in `vision.structures.Target`.
        repaired: The objects, as annotated, whose box was clipped, reordered or dropped.
        annotated_size: (height, width) stated in the annotation; None if it states no size.
        file: The image's file; None for a synthetic image.
    """

    image_id: str
    read: Callable[[], UInt8[ndarray, "h w 3"]]
    size: tuple[int, int]
    boxes: Float32[ndarray, "n 4"]
    names: tuple[str, ...]
    ignore: Bool[ndarray, "n"]
    crowd: Bool[ndarray, "n"]
    areas: Float32[ndarray, "n"]
    repaired: tuple[AnnotatedObject, ...] = ()
    annotated_size: tuple[int, int] | None = None
    file: AnyFile | None = None

    def load(self) -> UInt8[ndarray, "h w 3"]:
        """Read the image.

        Raises:
            DataError: If it cannot be read, or no longer has ``size``.
        """
        image = self.read()
        if image.shape[:2] != self.size:
            raise DataError(
                f"image {self.image_id} has the size {image.shape[:2]}, not {self.size} as when"
                " the data were first read; restore it, or start again"
            )
        return image

    def unignored_names(self) -> list[str]:
        """The class name of each box that is not ignored."""
        return [name for name, ignore in zip(self.names, self.ignore, strict=True) if not ignore]

    def target(self, labels: dict[str, int]) -> Target:
        """The objects whose class names are keys of ``labels``, in this image's pixels."""
        known = np.array([name in labels for name in self.names], bool)
        indices = [labels[name] for name in self.names if name in labels]
        return Target(
            torch.from_numpy(self.boxes[known]),
            torch.tensor(indices, dtype=torch.int64),
            torch.from_numpy(self.ignore[known]),
            self.image_id,
            self.size,
            torch.from_numpy(self.crowd[known]),
            torch.from_numpy(self.areas[known]),
        )


@dataclass(slots=True)
class Annotations:
    """Records of one or more sources, their class names, and the problems found in them.

    Attributes:
        records: The images that can be used.
        names: Class names, some of which may have no box.
        tally: Irregularities that did not prevent reading.
        faults: Images and annotations that cannot be used.
    """

    records: list[Record] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    faults: list[Fault] = field(default_factory=list)

    def add(self, other: "Annotations") -> None:
        """Append the annotations of another source."""
        self.records.extend(other.records)
        self.names = list(dict.fromkeys([*self.names, *other.names]))
        self.tally.add(other.tally)
        self.faults.extend(other.faults)

    def add_image(
        self,
        path: AnyFile,
        annotated_size: tuple[int, int] | None,
        objects: Sequence[AnnotatedObject],
        *,
        relative: bool = False,
    ) -> None:
        """Append the record of an image (see `make_record`), or a fault if it cannot be read."""
        # Path.exists raises an error if the name is too long.
        is_there = isinstance(path, Member) or os.path.exists(path)  # noqa: PTH110
        with self.collecting("unreadable image" if is_there else "missing image", path):
            record = make_record(path, annotated_size, objects, self.tally, relative=relative)
            self.records.append(record)

    @contextmanager
    def collecting(self, kind: str, where: object) -> Iterator[None]:
        """Turn a `DataError` that the ``with`` block raises into a fault."""
        try:
            yield
        except DataError as error:
            self.faults.append(Fault(kind, str(where), str(error)))

    def check(self) -> "Annotations":
        """Return these annotations, if they have no faults.

        Raises:
            DataError: With the first fault and the number of the others.
        """
        if not self.faults:
            return self
        more = len(self.faults) - 1
        also = f" (and {more} more; ssdlite check lists all)" if more else ""
        raise DataError(self.faults[0].message + also)

    def count(self) -> Counter[str]:
        """Number of boxes of each class, including ignored boxes."""
        counts: Counter[str] = Counter(name for record in self.records for name in record.names)
        return Counter({name: counts[name] for name in self.names})


def make_record(
    path: AnyFile,
    annotated_size: tuple[int, int] | None,
    objects: Sequence[AnnotatedObject],
    tally: Tally,
    *,
    relative: bool = False,
) -> Record:
    """Make the record of an image file; boxes are clipped to it, those without area dropped.

    Args:
        path: The image file, whose header is read.
        annotated_size: (height, width) stated in the annotation; None if it states no size.
        objects: The objects that the annotation lists.
        tally: Counts dropped, clipped and swapped boxes, sizes that match the image in no
            orientation, and images whose end is missing.
        relative: Whether boxes are fractions of the image's sides instead of pixels.

    Raises:
        DataError: If the image cannot be opened.
    """
    size = image_size(path, annotated_size)
    if lacks_end(path):
        read_image(path)
        tally.note("images whose end is missing", path)
    if annotated_size is not None and size != annotated_size:
        tally.note("images of another size than their annotation states", path)
    if relative:
        objects = list(_in_pixels(objects, size))
    clipped = [_clip(item, size, path, tally) for item in objects]
    kept = [item for item in clipped if item is not None]
    boxes = np.array([item.box for item in kept], np.float32).reshape(-1, 4)
    box_areas = box_ops.area(torch.from_numpy(boxes)).tolist()
    areas = [
        area if item.area is None else item.area for item, area in zip(kept, box_areas, strict=True)
    ]
    return Record(
        str(path),
        partial(read_image, path, annotated_size),
        size,
        boxes,
        tuple(nfc(item.name) for item in kept),
        np.array([item.ignore for item in kept], bool),
        np.array([item.crowd for item in kept], bool),
        np.array(areas, np.float32),
        tuple(
            item
            for item, result in zip(objects, clipped, strict=True)
            if result is None or result.box != item.box
        ),
        annotated_size,
        path,
    )


def _in_pixels(
    objects: Sequence[AnnotatedObject], size: tuple[int, int]
) -> Iterator[AnnotatedObject]:
    """Yield the objects with boxes converted from fractions of the image's sides to pixels."""
    boxes = torch.tensor([item.box for item in objects], dtype=torch.float64).reshape(-1, 4)
    for item, (x0, y0, x1, y1) in zip(
        objects, box_ops.scale(boxes, (1, 1), size).tolist(), strict=True
    ):
        yield item._replace(box=(x0, y0, x1, y1))


def _clip(
    item: AnnotatedObject, size: tuple[int, int], path: AnyFile, tally: Tally
) -> AnnotatedObject | None:
    """The object clipped to the image; None, counted in ``tally``, if no area is left."""
    height, width = size
    x0, y0, x1, y1 = item.box
    if not np.isfinite(item.box).all() or x0 == x1 or y0 == y1:
        tally.note("boxes without area dropped", path)
        return None
    if x0 > x1 or y0 > y1:
        tally.note(SWAPPED, path)
        x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    box = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
    # A box is kept only if it still has an area once its corners are rounded to float32.
    if np.float32(box[0]) >= np.float32(box[2]) or np.float32(box[1]) >= np.float32(box[3]):
        tally.note("boxes outside their image dropped", path)
        return None
    if not np.allclose(box, (x0, y0, x1, y1), rtol=0, atol=ROUNDING):
        tally.note("boxes clipped to the image", path)
    return item._replace(box=box)
