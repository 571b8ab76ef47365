"""What every format is read into: records of an image and its objects, and what was dropped."""

# n objects of one image

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from numpy import ndarray

from vision.images import image_size, read_image
from vision.structures import Target

__all__ = ["AnnotatedObject", "Annotations", "Record", "Tally", "make_record"]


class Tally:
    """Counts of what is out of the ordinary in the data, with the first place of each.

    Attributes:
        counts: How many of each kind.
        first: Where the first of each kind is.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def note(self, what: str, where: object, count: int = 1) -> None:
        """Count ``what``, worded for a number before it: ``boxes without area dropped``."""
        self.counts[what] += count
        self.first.setdefault(what, str(where))

    def lines(self) -> list[str]:
        """A line for each kind, such as ``2 boxes without area dropped (first: a.xml)``."""
        return [
            f"{count} {what} (first: {self.first[what]})" for what, count in self.counts.items()
        ]

    def add(self, other: "Tally") -> None:
        """Count in what another tally holds."""
        for what, count in other.counts.items():
            self.note(what, other.first[what], count)


class AnnotatedObject(NamedTuple):
    """One object as its file has it: ``box`` is xyxy, 0-based and continuous."""

    name: str
    box: tuple[float, float, float, float]
    ignore: bool = False
    crowd: bool = False
    area: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One image and its objects.

    Attributes:
        image_id: What names the image in messages: its path, or a name for a drawn one.
        read: Gives the image, RGB.
        size: (height, width) of what ``read`` gives.
        boxes: ``xyxy`` in pixels, inside the image, each with an area.
        names: Class name of each box.
        ignore: As in `vision.structures.Target`.
        crowd: Likewise.
        areas: Likewise.
    """

    image_id: str
    read: Callable[[], UInt8[ndarray, "h w 3"]]
    size: tuple[int, int]
    boxes: Float32[ndarray, "n 4"]
    names: tuple[str, ...]
    ignore: Bool[ndarray, "n"]
    crowd: Bool[ndarray, "n"]
    areas: Float32[ndarray, "n"]

    def taught(self) -> list[str]:
        """The class name of each box that is not ignored."""
        return [name for name, ignore in zip(self.names, self.ignore, strict=True) if not ignore]

    def target(self, labels: dict[str, int]) -> Target:
        """The objects whose names ``labels`` knows, as a target in this image's pixels."""
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
    """Records of one or more sources, the class names found, and what was dropped."""

    records: list[Record] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def add(self, other: "Annotations") -> None:
        """Append another source's."""
        self.records.extend(other.records)
        self.names = list(dict.fromkeys([*self.names, *other.names]))
        self.tally.add(other.tally)

    def count(self) -> Counter[str]:
        """Boxes of each class, ignored ones included."""
        found: Counter[str] = Counter(name for record in self.records for name in record.names)
        return Counter({name: found[name] for name in self.names})


def make_record(
    path: Path,
    annotated_size: tuple[int, int] | None,
    objects: Sequence[AnnotatedObject],
    tally: Tally,
) -> Record:
    """A record of an image file: boxes cut at its real borders, those without area dropped.

    Args:
        path: The image; its header is read.
        annotated_size: (height, width) that the annotation states, if it does.
        objects: What the annotation lists.
        tally: Takes note of what is dropped, and of a size that fits in no orientation.

    Raises:
        DataError: If the image cannot be opened.
    """
    size = image_size(path, annotated_size)
    if annotated_size is not None and size != annotated_size:
        tally.note("images of another size than their annotation states", path)
    kept = [_clipped(item, size, path, tally) for item in objects]
    sound = [item for item in kept if item is not None]
    boxes = np.array([item.box for item in sound], np.float32).reshape(-1, 4)
    box_areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    areas = [
        box_area if i.area is None else i.area for i, box_area in zip(sound, box_areas, strict=True)
    ]
    return Record(
        str(path),
        partial(read_image, path, annotated_size),
        size,
        boxes,
        tuple(item.name for item in sound),
        np.array([item.ignore for item in sound], bool),
        np.array([item.crowd for item in sound], bool),
        np.array(areas, np.float32),
    )


def _clipped(
    item: AnnotatedObject, size: tuple[int, int], path: Path, tally: Tally
) -> AnnotatedObject | None:
    """The object cut at the image's borders, None if nothing of it is left."""
    height, width = size
    if not np.isfinite(item.box).all() or item.box[0] >= item.box[2] or item.box[1] >= item.box[3]:
        tally.note("boxes without area dropped", path)
        return None
    x0, y0, x1, y1 = item.box
    box = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
    if np.float32(box[0]) >= np.float32(box[2]) or np.float32(box[1]) >= np.float32(box[3]):
        tally.note("boxes outside their image dropped", path)
        return None
    if box != item.box:
        tally.note("boxes cut at the image's border", path)
    return item._replace(box=box)
