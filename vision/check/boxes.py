"""Checks of boxes: invalid boxes, duplicates, and boxes that no prior reaches."""

# n boxes, P priors

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

import vision.boxes as box_ops
from vision.check.report import Corners, Finding, Place, enumerated, find
from vision.formats import AnnotatedObject, Annotations, Record
from vision.formats.records import SWAPPED

SAME_IOU = 0.9
"""IoU above which two boxes in an image are considered to mark the same object."""
TOLERANCE = 1.0
"""Pixels by which a box may exceed its image: some tools count from 1, others round."""
SIZES = (8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Bounds of the size groups: square root of the box area, in pixels of the network's input."""
ASPECTS = (1 / 4, 1 / 3, 1 / 2, 1.0, 2.0, 3.0, 4.0)
"""Bounds of the groups of aspect ratios, width / height."""
CHUNK = 512
"""Number of boxes that are compared with all priors at once."""


class Priors(NamedTuple):
    """The priors of a network, with which boxes are compared.

    Attributes:
        boxes: ``cxcywh``, as fractions of the image's sides.
        image_size: (height, width) of the network's input.
        match_iou: Minimum IoU with which a prior reaches a box.
    """

    boxes: Float[Tensor, "P 4"]
    image_size: tuple[int, int]
    match_iou: float


def check_boxes(splits: Mapping[str, Annotations]) -> list[Finding]:
    """Find boxes without area, beyond their image or drawn twice, and wrong image sizes."""
    places: dict[str, list[Place]] = {
        "box without area": [],
        "box outside its image": [],
        "box beyond the border": [],
        SWAPPED: [],
        "size other than stated": [],
        "box drawn twice": [],
        "object of two classes": [],
    }
    for split, annotations in splits.items():
        for record in annotations.records:
            for kind, place in (*_repaired(split, record), *_twice(split, record)):
                places[kind].append(place)
    return [found for kind, where in places.items() for found in find(kind, where)]


def _repaired(split: str, record: Record) -> Iterator[tuple[str, Place]]:
    """Yield what the reader corrected in an image: its boxes, and a wrong stated size."""
    by_kind: dict[str, list[AnnotatedObject]] = {}
    for item in record.repaired:
        by_kind.setdefault(_fault_of(item.box, record.size), []).append(item)
    by_kind.pop("", None)
    for kind, items in by_kind.items():
        detail = enumerated(f"{item.name} {_numbers(item.box)}" for item in items)
        yield kind, Place(split, record.image_id, detail, tuple(item.box for item in items))
    stated, (height, width) = record.annotated_size, record.size
    if stated is not None and stated != record.size:
        detail = f"{width} x {height} pixels, {stated[1]} x {stated[0]} stated"
        yield "size other than stated", Place(split, record.image_id, detail)


def _fault_of(box: Corners, size: tuple[int, int]) -> str:
    """The kind of finding for a box that was corrected, empty if it is within the tolerance."""
    (x0, y0, x1, y1), (height, width) = box, size
    if not np.isfinite(box).all() or x0 == x1 or y0 == y1:
        return "box without area"
    left, right, top, bottom = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        return "box outside its image"
    if max(-left, -top, right - width, bottom - height) > TOLERANCE:
        return "box beyond the border"
    return SWAPPED if x0 > x1 or y0 > y1 else ""


def _numbers(box: Sequence[float]) -> str:
    return f"({', '.join(f'{value:g}' for value in box)})"


def _twice(split: str, record: Record) -> Iterator[tuple[str, Place]]:
    """Yield the boxes that mark an object which already has a box."""
    first, second = np.nonzero(np.triu(same_objects(record), 1))
    by_kind: dict[str, dict[int, int]] = {}
    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        is_same = record.names[one] == record.names[other]
        kind = "box drawn twice" if is_same else "object of two classes"
        by_kind.setdefault(kind, {}).setdefault(other, one)
    for kind, pairs in by_kind.items():
        words = {
            other: f"{record.names[other]} {_numbers(record.boxes[other].tolist())}"
            + ("" if record.names[other] == record.names[one] else f" is {record.names[one]} too")
            for other, one in pairs.items()
        }
        boxes = tuple(tuple(record.boxes[other].tolist()) for other in pairs)
        yield kind, Place(split, record.image_id, enumerated(words.values()), boxes)


def same_objects(record: Record) -> Bool[np.ndarray, "n n"]:
    """Whether each pair of boxes overlaps so much that it marks one object; crowds never do."""
    boxes = torch.from_numpy(record.boxes)
    overlaps = box_ops.iou(boxes, boxes).numpy() > SAME_IOU
    return np.asarray(overlaps & ~record.crowd & ~record.crowd[:, None], bool)


def check_priors(annotations: Annotations, priors: Priors) -> tuple[dict[str, Any], list[Finding]]:
    """Count a split's boxes by size and aspect ratio, and find those that no prior reaches."""
    relative = [
        box_ops.scale(torch.from_numpy(record.boxes[~record.ignore]), record.size, (1, 1))
        for record in annotations.records
    ]
    boxes = torch.cat([torch.zeros(0, 4), *relative])
    corners = box_ops.to_corners(priors.boxes).cpu()
    chunks = [
        box_ops.iou(chunk, corners).amax(dim=1) for chunk in torch.split(boxes, CHUNK) if len(chunk)
    ]
    missed = (torch.cat([torch.zeros(0), *chunks]) < priors.match_iou).numpy()
    height, width = priors.image_size
    sides = (boxes[:, 2:] - boxes[:, :2]).numpy() * [width, height]
    table = {
        "image_size": [height, width],
        "match_iou": priors.match_iou,
        "boxes": len(boxes),
        "unreached": int(missed.sum()),
        "by_size": _histogram(np.sqrt(sides.prod(axis=1)), missed, SIZES),
        "by_aspect": _histogram(sides[:, 0] / sides[:, 1], missed, ASPECTS),
    }
    return table, find("box that no prior reaches", _unreached(annotations.records, missed, sides))


def _histogram(
    values: Float[np.ndarray, "n"], missed: Bool[np.ndarray, "n"], bounds: Sequence[float]
) -> list[dict[str, Any]]:
    """Number of boxes in each group of values, and how many of them no prior reaches."""
    group = np.searchsorted(bounds, values, side="right")
    words = [f"{bound:.3g}" for bound in bounds]
    labels = [f"< {words[0]}", *map(" to ".join, pairwise(words)), f"{words[-1]} and more"]
    return [
        {
            "label": label,
            "boxes": int((group == k).sum()),
            "unreached": int(missed[group == k].sum()),
        }
        for k, label in enumerate(labels)
    ]


def _unreached(
    records: Sequence[Record],
    missed: Bool[np.ndarray, "n"],
    sides: Float[np.ndarray, "n 2"],
) -> Iterator[Place]:
    start = 0
    for record in records:
        kept = ~record.ignore
        stop = start + int(kept.sum())
        here = np.flatnonzero(missed[start:stop])
        if len(here):
            boxes = record.boxes[kept][here].tolist()
            shapes = sides[start:stop][here].tolist()
            detail = enumerated(f"{width:.0f} x {height:.0f}" for width, height in shapes)
            yield Place("train", record.image_id, detail, tuple(map(tuple, boxes)))
        start = stop
