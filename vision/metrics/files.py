"""Detections and ground truth from files in COCO's formats."""

# n detections or annotations, m those of one image

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

import vision.boxes as box_ops
import vision.metrics.json_table as tables
from vision.errors import DataError
from vision.structures import Detections, Target

__all__ = ["read_coco_results"]

TARGET_FORM = "an object with images, annotations and categories (COCO instances)"
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
    """Detections, ground truth and class names from COCO results and COCO instances.

    All images of the annotation file count, in the order of their ids, and its categories are
    the classes, in the order of their ids. An annotation with ``iscrowd`` set is an ignored crowd;
    one with ``ignore`` or ``difficult`` set, as converters from VOC write them, is ignored.
    The default of an annotation's ``area`` is its box's, and of an image's ``width`` and
    ``height`` 0.

    Args:
        annotations: An instances file: ``{"images": [...], "annotations": [...],
            "categories": [...]}``.
        detections: A list of ``{"image_id", "category_id", "bbox": [x, y, width, height],
            "score"}``, in any order.

    Raises:
        DataError: If a file cannot be read or does not have that form.
    """
    ground_truth = tables.load_json(annotations, dict, TARGET_FORM)
    tables.check_rows(str(annotations), [ground_truth], ("images", "annotations", "categories"))
    results = tables.load_json(detections, list, RESULTS_FORM)
    sizes = _image_sizes(f"{annotations}: images", ground_truth["images"])
    image_index: Ids = {image_id: index for index, image_id in enumerate(sizes)}
    categories = _sorted_categories(f"{annotations}: categories", ground_truth["categories"])
    label_index: Ids = {category["id"]: label for label, category in enumerate(categories)}

    targets = _targets(annotations, ground_truth["annotations"], sizes, image_index, label_index)
    by_image = _detections(f"{detections}: detections", results, targets, image_index, label_index)
    return by_image, targets, [category["name"] for category in categories]


def _image_sizes(where: str, images: object) -> Sizes:
    """Sorted by id, as COCO's code sorts images, since their order decides between equal scores."""
    rows = tables.check_rows(where, images, ("id",))
    tables.check_unique(where, rows, "id", int, str)
    columns = [tables.numbers(where, rows, key, default=0.0) for key in ("height", "width")]
    sizes = zip(*(column.astype(int).tolist() for column in columns), strict=True)
    by_id = {row["id"]: size for row, size in zip(rows, sizes, strict=True)}
    return dict(sorted(by_id.items(), key=lambda item: (isinstance(item[0], str), item[0])))


def _sorted_categories(where: str, categories: object) -> list[dict[str, Any]]:
    rows = tables.check_rows(where, categories, ("id", "name"))
    tables.check_unique(where, rows, "id", int)
    tables.check_unique(where, rows, "name", str)
    return sorted(rows, key=lambda row: int(row["id"]))


def _targets(
    path: Path,
    annotations: object,
    sizes: Sizes,
    image_index: Ids,
    label_index: Ids,
) -> list[Target]:
    where = f"{path}: annotations"
    rows = tables.check_rows(where, annotations, BOX_KEYS)
    columns = _columns(where, rows, image_index, label_index)
    crowd = tables.flags(where, rows, "iscrowd")
    ignore = crowd | tables.flags(where, rows, "ignore") | tables.flags(where, rows, "difficult")
    area = tables.numbers(where, rows, "area", default=np.nan)
    box_area = box_ops.area(torch.from_numpy(columns.boxes)).numpy()
    area = np.where(np.isnan(area), box_area, area)
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
    rows = tables.check_rows(where, rows, (*BOX_KEYS, "score"))
    columns = _columns(where, rows, image_index, label_index)
    scores = tables.numbers(where, rows, "score")
    # Sorted before the conversion to float32, in which different scores may become equal.
    descending = np.argsort(-scores, kind="stable")
    groups = [descending[group] for group in _groups(columns.images[descending], len(targets))]
    detections = []
    for target, group in zip(targets, groups, strict=True):
        boxes, labels = _tensors(columns, group)
        size = None if 0 in target.size else target.size
        detections.append(Detections(boxes, torch.from_numpy(scores[group]).float(), labels, size))
    return detections


def _columns(
    where: str,
    rows: list[dict[str, Any]],
    image_index: Ids,
    label_index: Ids,
) -> _Columns:
    return _Columns(
        tables.lookup(where, rows, "image_id", image_index),
        tables.lookup(where, rows, "category_id", label_index),
        tables.xyxy_boxes(where, rows),
    )


def _groups(images: Int64[np.ndarray, "n"], num_images: int) -> list[Int64[np.ndarray, "..."]]:
    """Indices of each image's rows, in their order."""
    order = np.argsort(images, kind="stable")
    ends = np.searchsorted(images[order], np.arange(1, num_images))
    return np.split(order, ends)[:num_images]


def _tensors(columns: _Columns, group: Int64[np.ndarray, "m"]) -> tuple[Tensor, Tensor]:
    """Boxes and labels of one image."""
    boxes, labels = columns.boxes[group], columns.labels[group]
    return torch.from_numpy(boxes).float(), torch.from_numpy(labels)
