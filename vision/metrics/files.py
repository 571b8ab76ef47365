"""Detections and ground truth from files in COCO's formats."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

import vision.formats.json_table as tables
from vision.errors import DataError
from vision.formats.coco_instances import BOX_KEYS, Ids, Instances, index_by_id, load_instances
from vision.formats.json_file import load_json, load_parts
from vision.metrics.tables import DetectionTable, TargetTable

RESULTS_FORM = "a list of objects with image_id, category_id, bbox and score (COCO results)"


def read_coco_results(
    annotations: Path, detections: Path
) -> tuple[DetectionTable, TargetTable, list[str]]:
    """Read detections, ground truth and class names from COCO results and COCO instances.

    All images of the annotation file are evaluated, in the order of their ids, and its categories
    are the classes, in the order of their ids. An annotation with ``iscrowd`` set is an ignored
    crowd; an annotation with ``ignore`` or ``difficult`` set, as converters from VOC write them, is
    ignored. An annotation without ``area`` has the area of its box, and an image without ``width``
    and ``height`` the size (0, 0).

    Args:
        annotations: An instances file: ``{"images": [...], "annotations": [...],
            "categories": [...]}``.
        detections: A list of ``{"image_id", "category_id", "bbox": [x, y, width, height],
            "score"}``, in any order.

    Returns:
        The detections, the ground truth of the same images, and the class names in label order.

    Raises:
        DataError: If a file cannot be read or does not have this form.
    """
    truth = load_instances(annotations)
    tables.check_unique(f"{annotations}: categories", truth.categories, "name", str)
    images, categories = index_by_id(truth.images), index_by_id(truth.categories)
    targets = _targets(f"{annotations}: annotations", truth, images)
    names, sizes = [category["name"] for category in truth.categories], truth.sizes
    del truth  # Free its rows before the detections are read.
    found = _detections(detections, images, categories, sizes)
    return found, targets, names


def _targets(where: str, truth: Instances, images: Ids) -> TargetTable:
    indices = tables.lookup(where, truth.annotations, "image_id", images)
    areas = np.where(np.isnan(truth.areas), truth.boxes[:, 2:].prod(axis=1), truth.areas)
    order = np.argsort(indices, kind="stable")
    image_ids = [image["id"] for image in truth.images]
    return TargetTable(
        indices[order],
        truth.labels[order],
        truth.boxes[order],
        truth.ignore[order],
        truth.crowd[order],
        areas[order],
        image_ids,
        truth.sizes,
    )


def _detections(
    path: Path, images: Ids, categories: Ids, sizes: list[tuple[int, int]]
) -> DetectionTable:
    where = f"{path}: detections"
    try:
        parts = [_columns(where, rows, images, categories) for rows in load_parts(path)]
    except (ValueError, OSError):  # Read the whole file, so that the message has the right row.
        parts = [_columns(where, load_json(path, list, RESULTS_FORM), images, categories)]
    indices, labels, boxes, scores = map(np.concatenate, zip(*parts, strict=True))
    order = np.lexsort((-scores, indices))
    known_sizes = [None if 0 in size else size for size in sizes]
    return DetectionTable(indices[order], labels[order], boxes[order], scores[order], known_sizes)


def _columns(where: str, rows: list[Any], images: Ids, categories: Ids) -> tuple[ndarray, ...]:
    """Image indices, labels, ``xywh`` boxes and scores of the rows."""
    if any(isinstance(row, dict) and "bbox" not in row and "segmentation" in row for row in rows):
        raise DataError(
            f"{where} are masks (segmentation without bbox), expected boxes; write each mask's"
            " bbox [x, y, width, height] as well"
        )
    rows = tables.check_rows(where, rows, (*BOX_KEYS, "score"))
    return (
        tables.lookup(where, rows, "image_id", images),
        tables.lookup(where, rows, "category_id", categories),
        tables.xywh_boxes(where, rows),
        tables.numbers(where, rows, "score"),
    )
