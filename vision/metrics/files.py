"""Detections and ground truth from files in COCO's formats."""

# n detections or annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

import vision.boxes as box_ops
import vision.formats.json_table as tables
from vision.errors import DataError
from vision.formats.coco import BOX_KEYS, Instances, index_by_id, load_instances
from vision.structures import Detections, Target

RESULTS_FORM = "a list of objects with image_id, category_id, bbox and score (COCO results)"


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
    truth = load_instances(annotations)
    results = tables.load_json(detections, list, RESULTS_FORM)
    tables.check_unique(f"{annotations}: categories", truth.categories, "name", str)
    targets = _targets(f"{annotations}: annotations", truth)
    by_image = _detections(f"{detections}: detections", results, truth)
    return by_image, targets, [category["name"] for category in truth.categories]


def _targets(where: str, truth: Instances) -> list[Target]:
    images = tables.lookup(where, truth.annotations, "image_id", index_by_id(truth.images))
    boxes, labels, ignore, crowd, areas = map(
        torch.from_numpy, (truth.boxes, truth.labels, truth.ignore, truth.crowd, truth.areas)
    )
    areas = torch.where(areas.isnan(), box_ops.area(boxes), areas)
    return [
        Target(
            boxes[group].float(),
            labels[group],
            ignore=ignore[group],
            image_id=image["id"],
            size=size,
            crowd=crowd[group],
            areas=areas[group].float(),
        )
        for image, size, group in zip(
            truth.images, truth.sizes, _groups(images, len(truth.images)), strict=True
        )
    ]


def _detections(where: str, results: list[Any], truth: Instances) -> list[Detections]:
    if any(
        isinstance(row, dict) and "segmentation" in row and "bbox" not in row for row in results
    ):
        raise DataError(
            f"{where} are masks (segmentation without bbox), expected boxes; write each mask's"
            " bbox [x, y, width, height] as well"
        )
    rows = tables.check_rows(where, results, (*BOX_KEYS, "score"))
    images = tables.lookup(where, rows, "image_id", index_by_id(truth.images))
    labels = tables.lookup(where, rows, "category_id", index_by_id(truth.categories))
    boxes = tables.xyxy_boxes(where, rows)
    scores = tables.numbers(where, rows, "score")
    # Sorted before the conversion to float32, in which different scores may become equal.
    order = np.argsort(-scores, kind="stable")
    columns = [torch.from_numpy(column) for column in (boxes, scores, labels)]
    detections = []
    for size, group in zip(truth.sizes, _groups(images[order], len(truth.sizes)), strict=True):
        descending = torch.from_numpy(order)[group]
        image_boxes, image_scores, image_labels = (column[descending] for column in columns)
        known_size = None if 0 in size else size
        detections.append(
            Detections(image_boxes.float(), image_scores.float(), image_labels, known_size)
        )
    return detections


def _groups(images: Int64[np.ndarray, "n"], num_images: int) -> list[Int64[Tensor, "..."]]:
    """Indices of each image's rows, in their order."""
    order = np.argsort(images, kind="stable")
    ends = np.searchsorted(images[order], np.arange(1, num_images))
    return [torch.from_numpy(group) for group in np.split(order, ends)[:num_images]]
