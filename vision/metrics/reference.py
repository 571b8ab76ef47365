"""COCO's metrics by pycocotools, the reference that `vision.metrics.coco` equals."""

import contextlib
import io
from collections.abc import Iterable, Sequence
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from vision.metrics.coco import (
    CocoResult,
    detection_records,
    has_objects,
    mean_precision,
    target_records,
)
from vision.metrics.inputs import check_inputs
from vision.structures import Detections, Target


def pycocotools_ap(
    detections: Sequence[Detections], targets: Sequence[Target], num_classes: int
) -> CocoResult:
    """The result of `vision.metrics.coco.coco_ap`, computed by pycocotools.

    Raises:
        ValueError: If detections and targets do not fit (`check_inputs`).
    """
    check_inputs(detections, targets, num_classes)
    if not has_objects(targets):
        return CocoResult([None] * num_classes, *[None] * 12)
    with contextlib.redirect_stdout(io.StringIO()):
        sizes = (len(targets), num_classes)
        truth = _index(target_records(targets), *sizes)
        evaluation = COCOeval(truth, _index(detection_records(detections), *sizes), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # all areas, 100 detections
    numbers = [None if value == -1 else float(value) for value in evaluation.stats]
    return CocoResult(
        [mean_precision(precision[:, :, label]) for label in range(num_classes)], *numbers
    )


def _index(records: Iterable[dict[str, Any]], num_images: int, num_classes: int) -> COCO:
    """The records as pycocotools takes them; ids are from 1, since 0 stands for no match."""
    index = COCO()
    index.dataset = {
        "images": [{"id": number + 1} for number in range(num_images)],
        "categories": [{"id": label + 1} for label in range(num_classes)],
        "annotations": [{"id": number, **row} for number, row in enumerate(records, start=1)],
    }
    index.createIndex()
    return index
