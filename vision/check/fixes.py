"""Making a repaired copy of a data set."""

# n boxes of one image

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool
from numpy import ndarray

import vision.boxes as box_ops
from vision.check.boxes import same_objects
from vision.check.images import Item, near_groups
from vision.check.scan import UPRIGHT
from vision.formats import Annotations, Record
from vision.images import read_image

QUALITY = 95
"""Quality of the JPEG files that are written again."""
SAME_OBJECT_IOU = 0.5
"""IoU above which boxes of a class in two copies of an image mark the same object."""


def repair(
    splits: Mapping[str, Annotations], items: Sequence[Item], folder: Path
) -> dict[str, Annotations]:
    """Return the data without the faults that can be repaired; classes are not changed.

    Images that cannot be read are removed. Identical images in a split are joined into one, which
    gets the boxes of all. An image is removed if an earlier split of `vision.check.images.ORDER`
    has an identical or near-identical one. Boxes are those that the reader clipped, without those
    drawn twice.

    Args:
        splits: The data.
        items: Their images, from `vision.check.images.scan_data`.
        folder: An empty folder for the images that are written again: those that EXIF rotates,
            which are turned upright, and those whose end is missing.
    """
    usable = [item for item in items if not item.scan.error]
    leaks = {
        id(item) for group in near_groups(usable) for item in group if item.split != group[0].split
    }
    kept = [
        item._replace(record=_rewritten(item, folder / str(number)))
        for number, item in enumerate(usable)
        if id(item) not in leaks
    ]
    names = list(dict.fromkeys(name for one in splits.values() for name in one.names))
    return {
        split: Annotations(_joined([item for item in kept if item.split == split]), list(names))
        for split in splits
    }


def _rewritten(item: Item, folder: Path) -> Record:
    """The record; if EXIF rotates its image or the end is missing, of a new file in ``folder``."""
    if item.scan.orientation == UPRIGHT and not item.scan.is_truncated:
        return item.record
    folder.mkdir()
    path = (
        folder
        / Path(item.record.image_id).with_suffix(".jpg" if item.scan.is_jpeg else ".png").name
    )
    image = cv2.cvtColor(item.record.load(), cv2.COLOR_RGB2BGR)
    path.write_bytes(
        cv2.imencode(path.suffix, image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    )
    return replace(item.record, image_id=str(path), read=partial(read_image, path), file=path)


def _joined(items: Sequence[Item]) -> list[Record]:
    """The records of a split, with identical image files joined into one record."""
    records: dict[object, Record] = {}
    for item in items:
        key, record = item.scan.digest or id(item.record), _once(item.record)
        records[key] = _join(records[key], record) if key in records else record
    return list(records.values())


def _once(record: Record) -> Record:
    """The record with each object once, and without traces of what the reader corrected."""
    names = np.array(record.names)
    again = np.triu(same_objects(record) & (names == names[:, None]), 1).any(axis=0)
    return replace(_select(record, ~again), repaired=(), annotated_size=None)


def _join(record: Record, other: Record) -> Record:
    """Add to a record the objects that only the record of a copy of its image has."""
    if record.size != other.size:  # The boxes of one refer to the image before EXIF rotates it.
        return record
    overlaps = box_ops.iou(torch.from_numpy(other.boxes), torch.from_numpy(record.boxes)).numpy()
    same_name = np.array(other.names)[:, None] == np.array(record.names)
    added = _select(other, ~((overlaps > SAME_OBJECT_IOU) & same_name).any(axis=1))
    return replace(
        record,
        boxes=np.concatenate([record.boxes, added.boxes]),
        names=record.names + added.names,
        ignore=np.concatenate([record.ignore, added.ignore]),
        crowd=np.concatenate([record.crowd, added.crowd]),
        areas=np.concatenate([record.areas, added.areas]),
    )


def _select(record: Record, chosen: Bool[ndarray, "n"]) -> Record:
    return replace(
        record,
        boxes=record.boxes[chosen],
        names=tuple(np.array(record.names, object)[chosen]),
        ignore=record.ignore[chosen],
        crowd=record.crowd[chosen],
        areas=record.areas[chosen],
    )
