"""Average precision and recall as COCO measures them, with ``faster_coco_eval``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

import vision.boxes as box_ops
from vision.metrics.inputs import check_inputs
from vision.structures import Detections, Target

__all__ = ["CocoResult", "coco_ap"]

UNDEFINED = -1
"""What COCO's code gives where there is no box to find."""

DECIMALS = 6
"""COCO's code adds ``np.spacing(1)`` to its divisors, so that a perfect result reads
0.9999999999999998. Rounded here, once, to fewer decimals than that and more than anyone prints.
"""


@dataclass(frozen=True, slots=True)
class CocoResult:
    """COCO's twelve numbers under their own names, in [0, 1]; None where there is no box to find.

    Attributes:
        per_class: ``AP`` of each class.
        AP: Average precision, mean over the IoU thresholds 0.5, 0.55, ..., 0.95 and the classes.
        AP50: At the IoU threshold 0.5.
        AP75: At the IoU threshold 0.75.
        APs: Of small objects, up to 32 x 32 pixels.
        APm: Of medium ones, up to 96 x 96 pixels.
        APl: Of large ones.
        AR1: Average recall with the best detection of each class and image, over the same
            thresholds and classes.
        AR10: With the best ten.
        AR100: With the best hundred.
        ARs: The last, of small objects.
        ARm: Of medium ones.
        ARl: Of large ones.
    """

    per_class: list[float | None]
    AP: float | None
    AP50: float | None
    AP75: float | None
    APs: float | None
    APm: float | None
    APl: float | None
    AR1: float | None
    AR10: float | None
    AR100: float | None
    ARs: float | None
    ARm: float | None
    ARl: float | None


def coco_ap(
    detections: Sequence[Detections], targets: Sequence[Target], num_classes: int
) -> CocoResult:
    """COCO's twelve numbers, and the average precision of each class.

    Objects are sorted into small, medium and large by ``Target.areas``.

    All ignored boxes are crowds here: COCO's code knows no other kind (it overwrites ``ignore``
    by ``iscrowd``). For a VOC ``difficult`` box this means that any number of detections is left
    out by it, and by the share of their own area inside the box instead of by IoU; `voc_ap`
    follows VOC's own rule.

    Args:
        detections: Of each image, in pixels of the image that its target refers to.
        targets: The truth of the same images.
        num_classes: Labels are 0 to ``num_classes - 1``.

    Raises:
        ValueError: If the two do not fit (`check_inputs`).
    """
    check_inputs(detections, targets, num_classes)
    if all(bool((target.ignore | target.crowd).all()) for target in targets):
        return CocoResult([None] * num_classes, *[None] * 12)
    sizes = (len(targets), num_classes)
    truth = _index(_truth_records(targets), *sizes)
    found = _index(_found_records(detections), *sizes)
    evaluation = COCOeval_faster(truth, found, "bbox", print_function=_say_nothing)
    evaluation.run()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # all areas, 100 detections
    return CocoResult(
        [_defined(precision[:, :, label].mean()) for label in range(num_classes)],
        *[_defined(value) for value in evaluation.stats[:12]],
    )


# An id is an index + 1: COCO's code takes the id 0 for "no match". No id leaves this file.


def _index(records: Iterable[dict[str, Any]], num_images: int, num_classes: int) -> COCO:
    """The records as COCO's code wants them."""
    annotations = [{"id": number, **record} for number, record in enumerate(records, start=1)]
    images = [{"id": index + 1} for index in range(num_images)]
    categories = [{"id": label + 1, "name": str(label)} for label in range(num_classes)]
    dataset = {"images": images, "categories": categories, "annotations": annotations}
    return COCO(dataset, print_function=_say_nothing)


def _truth_records(targets: Sequence[Target]) -> Iterable[dict[str, Any]]:
    for index, target in enumerate(targets):
        crowds = (target.ignore | target.crowd).tolist()
        for record, area, crowd in zip(
            _records(index, target), target.areas.tolist(), crowds, strict=True
        ):
            yield {**record, "area": area, "iscrowd": int(crowd)}


def _found_records(detections: Sequence[Detections]) -> Iterable[dict[str, Any]]:
    for index, found in enumerate(detections):
        areas = box_ops.area(found.boxes.double()).tolist()
        for record, area, score in zip(
            _records(index, found), areas, found.scores.tolist(), strict=True
        ):
            yield {**record, "area": area, "score": score, "iscrowd": 0}


def _records(index: int, boxed: Target | Detections) -> Iterable[dict[str, Any]]:
    """Image, category and box as (x, y, width, height)."""
    boxes = boxed.boxes.double().cpu().numpy()
    boxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    for box, label in zip(boxes.tolist(), boxed.labels.tolist(), strict=True):
        yield {"image_id": index + 1, "category_id": label + 1, "bbox": box}


def _defined(value: float) -> float | None:
    return None if value == UNDEFINED else round(float(value), DECIMALS)


def _say_nothing(*_: object) -> None:
    """Stands in for the library's printing."""
