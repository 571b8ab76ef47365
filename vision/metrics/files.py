"""Detections and truth from files in COCO's formats."""

# n detections or annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from vision.errors import DataError
from vision.metrics import records
from vision.structures import Detections, Target

__all__ = ["read_coco_results"]

TRUTH_FORM = "an object with images, annotations and categories (COCO instances)"
RESULTS_FORM = "a list of objects with image_id, category_id, bbox and score (COCO results)"
Ids = dict[int | str, int]
"""Index of each image or category, by its id in the file."""

Sizes = dict[int | str, tuple[int, int]]
"""(height, width) of each image, by its id in the file."""

BOX_KEYS = ("image_id", "category_id", "bbox")


class _Columns(NamedTuple):
    """Boxes of all images; ``images`` and ``labels`` are indices from 0."""

    images: Int64[np.ndarray, "n"]
    labels: Int64[np.ndarray, "n"]
    boxes: Float64[np.ndarray, "n 4"]


def read_coco_results(
    annotations: Path, detections: Path
) -> tuple[list[Detections], list[Target], list[str]]:
    """Detections, truth and class names from a results file and an annotation file of COCO's form.

    All images of the annotation file count, in the order of their ids, and its categories are
    the classes, in the order of theirs. An annotation with ``iscrowd`` set is an ignored crowd;
    one with ``ignore`` or ``difficult`` set, as converters from VOC write them, is ignored.
    Without an ``area`` it has that of its box; an image's ``width`` or ``height`` is 0 if left
    out.

    Args:
        annotations: An instances file: ``{"images": [...], "annotations": [...],
            "categories": [...]}``.
        detections: A list of ``{"image_id", "category_id", "bbox": [x, y, width, height],
            "score"}``, in any order.

    Raises:
        DataError: If a file cannot be read or is not of that form.
    """
    truth = records.load(annotations, dict, TRUTH_FORM)
    records.table(str(annotations), [truth], ("images", "annotations", "categories"))
    found = records.load(detections, list, RESULTS_FORM)
    sizes = _image_sizes(f"{annotations}: images", truth["images"])
    image_index: Ids = {image_id: index for index, image_id in enumerate(sizes)}
    categories = _sorted_categories(f"{annotations}: categories", truth["categories"])
    label_index: Ids = {category["id"]: label for label, category in enumerate(categories)}

    targets = _targets(annotations, truth["annotations"], sizes, image_index, label_index)
    by_image = _detections(f"{detections}: detections", found, targets, image_index, label_index)
    return by_image, targets, [category["name"] for category in categories]


def _image_sizes(where: str, images: object) -> Sizes:
    """Sorted by id, as COCO's code takes images: their order decides between equal scores."""
    rows = records.table(where, images, ("id",))
    records.check_unique(where, rows, "id", int, str)
    columns = [records.numbers(where, rows, key, default=0.0) for key in ("height", "width")]
    sizes = zip(*(column.astype(int).tolist() for column in columns), strict=True)
    by_id = {row["id"]: size for row, size in zip(rows, sizes, strict=True)}
    return dict(sorted(by_id.items(), key=lambda item: (isinstance(item[0], str), item[0])))


def _sorted_categories(where: str, categories: object) -> list[dict[str, Any]]:
    rows = records.table(where, categories, ("id", "name"))
    records.check_unique(where, rows, "id", int)
    records.check_unique(where, rows, "name", str)
    return sorted(rows, key=lambda row: int(row["id"]))


def _targets(
    path: Path,
    annotations: object,
    sizes: Sizes,
    image_index: Ids,
    label_index: Ids,
) -> list[Target]:
    where = f"{path}: annotations"
    rows = records.table(where, annotations, BOX_KEYS)
    columns = _columns(where, rows, image_index, label_index)
    crowd = records.flags(where, rows, "iscrowd")
    ignore = crowd | records.flags(where, rows, "ignore") | records.flags(where, rows, "difficult")
    width, height = (columns.boxes[:, 2:] - columns.boxes[:, :2]).T
    area = records.numbers(where, rows, "area", default=np.nan)
    area = np.where(np.isnan(area), width * height, area)
    groups = _groups(columns.images, len(sizes))
    return [
        Target(
            *_tensors(columns, group),
            ignore=torch.from_numpy(ignore[group]),
            image_id=image_id,
            size=size,
            crowd=torch.from_numpy(crowd[group]),
            areas=torch.from_numpy(area[group]).float(),
        )
        for (image_id, size), group in zip(sizes.items(), groups, strict=True)
    ]


def _detections(
    where: str,
    rows: list[Any],
    targets: list[Target],
    image_index: Ids,
    label_index: Ids,
) -> list[Detections]:
    if any(isinstance(row, dict) and "segmentation" in row and "bbox" not in row for row in rows):
        raise DataError(
            f"{where} are masks (segmentation without bbox), expected boxes; write each mask's"
            " bbox [x, y, width, height] as well"
        )
    rows = records.table(where, rows, (*BOX_KEYS, "score"))
    columns = _columns(where, rows, image_index, label_index)
    scores = records.numbers(where, rows, "score")
    # Sorted before they become float32, where scores that differ may be equal.
    falling = np.argsort(-scores, kind="stable")
    groups = [falling[group] for group in _groups(columns.images[falling], len(targets))]
    found = []
    for target, group in zip(targets, groups, strict=True):
        boxes, labels = _tensors(columns, group)
        size = None if 0 in target.size else target.size
        found.append(Detections(boxes, torch.from_numpy(scores[group]).float(), labels, size))
    return found


def _columns(
    where: str,
    rows: list[dict[str, Any]],
    image_index: Ids,
    label_index: Ids,
) -> _Columns:
    return _Columns(
        records.lookup(where, rows, "image_id", image_index),
        records.lookup(where, rows, "category_id", label_index),
        records.boxes(where, rows),
    )


def _groups(images: Int64[np.ndarray, "n"], num_images: int) -> list[Int64[np.ndarray, "..."]]:
    """Indices of each image's boxes, in their order."""
    order = np.argsort(images, kind="stable")
    ends = np.searchsorted(images[order], np.arange(1, num_images))
    return np.split(order, ends)[:num_images]


def _tensors(columns: _Columns, group: Int64[np.ndarray, "m"]) -> tuple[Tensor, Tensor]:
    """Boxes and labels of one image."""
    boxes, labels = columns.boxes[group], columns.labels[group]
    return torch.from_numpy(boxes).float(), torch.from_numpy(labels)
