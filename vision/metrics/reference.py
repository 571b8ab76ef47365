"""COCO's metrics computed by pycocotools, the reference for `vision.metrics.coco`."""

import contextlib
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy import ndarray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from vision.detections import Detections
from vision.metrics.coco import CocoResult, nan_mean
from vision.metrics.inputs import check_inputs
from vision.metrics.tables import DetectionTable, TargetTable
from vision.structures import Target

UNDEFINED = -1


def pycocotools_ap(
    detections: Sequence[Detections], targets: Sequence[Target], num_classes: int
) -> CocoResult:
    """Compute the result of `vision.metrics.coco.coco_ap` with pycocotools.

    Raises:
        ValueError: If detections and targets do not fit (`check_inputs`).
    """
    found, truth = check_inputs(detections, targets, num_classes)
    areas = found.boxes[:, 2] * found.boxes[:, 3]
    crowds = (truth.ignore | truth.crowd).astype(int)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(
            _index(_rows(truth, area=truth.areas, iscrowd=crowds), len(truth), num_classes),
            _index(_rows(found, area=areas, score=found.scores), len(found), num_classes),
            "bbox",
        )
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # all areas, 100 detections
    of_classes, numbers = (
        np.where(values == UNDEFINED, np.nan, values) for values in (precision, evaluation.stats)
    )
    per_class = [nan_mean(of_classes[:, :, label]) for label in range(num_classes)]
    return CocoResult(per_class, *map(nan_mean, np.split(numbers, 12)))


def _rows(table: DetectionTable | TargetTable, **columns: ndarray) -> Iterable[dict[str, Any]]:
    """The boxes as COCO's annotations. Ids begin at 1, because pycocotools uses 0 for no match."""
    lists = (table.images + 1, table.labels + 1, table.boxes, *columns.values())
    names = ("image_id", "category_id", "bbox", *columns)
    for number, values in enumerate(zip(*(part.tolist() for part in lists), strict=True), start=1):
        yield {"id": number, "iscrowd": 0, **dict(zip(names, values, strict=True))}


def _index(rows: Iterable[dict[str, Any]], num_images: int, num_classes: int) -> COCO:
    index = COCO()
    index.dataset = {
        "images": [{"id": number + 1} for number in range(num_images)],
        "categories": [{"id": label + 1} for label in range(num_classes)],
        "annotations": list(rows),
    }
    index.createIndex()
    return index
