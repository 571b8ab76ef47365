"""Average precision and recall as COCO measures them, with ``faster_coco_eval``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

import vision.boxes as box_ops
from vision.metrics.inputs import check_inputs
from vision.structures import Detections, Target

UNDEFINED = -1
"""The value that COCO's code gives where there is no object."""

DECIMALS = 6
"""COCO's code adds ``np.spacing(1)`` to its divisors, so that a perfect result is
0.9999999999999998. Numbers are rounded here, once, which hides that and nothing else.
"""


@dataclass(frozen=True, slots=True)
class CocoResult:
    """COCO's twelve numbers under their own names, in [0, 1]; None where there is no object.

    Attributes:
        per_class: ``AP`` of each class.
        AP: Average precision, mean over the IoU thresholds 0.5, 0.55, ..., 0.95 and the classes.
        AP50: Average precision at the IoU threshold 0.5.
        AP75: Average precision at the IoU threshold 0.75.
        APs: ``AP`` of small objects, up to 32 x 32 pixels.
        APm: ``AP`` of medium objects, up to 96 x 96 pixels.
        APl: ``AP`` of large objects.
        AR1: Average recall of the best detection of each class and image, mean over the same
            thresholds and classes.
        AR10: Average recall of the best ten.
        AR100: Average recall of the best hundred.
        ARs: ``AR100`` of small objects.
        ARm: ``AR100`` of medium objects.
        ARl: ``AR100`` of large objects.
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

    Objects are divided into small, medium and large by ``Target.areas``.

    All ignored boxes are crowds here, since COCO's code knows no other kind (it overwrites
    ``ignore`` by ``iscrowd``). For a VOC ``difficult`` box this means that any number of detections
    is left out by it, and by the fraction of their own area inside the box instead of by IoU;
    `vision.metrics.voc.voc_ap` follows VOC's own rule.

    Args:
        detections: Of each image, in pixels of the image that its target refers to.
        targets: The ground truth of the same images.
        num_classes: Labels are 0 to ``num_classes - 1``.

    Raises:
        ValueError: If detections and targets do not fit (`check_inputs`).
    """
    check_inputs(detections, targets, num_classes)
    if not has_objects(targets):
        return CocoResult([None] * num_classes, *[None] * 12)
    evaluation = make_evaluation(detections, targets, num_classes)
    evaluation.run()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # all areas, 100 detections
    return CocoResult(
        [mean_precision(precision[:, :, label]) for label in range(num_classes)],
        *[_defined(value) for value in evaluation.stats[:12]],
    )


def has_objects(targets: Sequence[Target]) -> bool:
    """Whether any box counts, that is, is not ignored."""
    return not all(bool((target.ignore | target.crowd).all()) for target in targets)


def make_evaluation(
    detections: Sequence[Detections],
    targets: Sequence[Target],
    num_classes: int,
    *,
    separate_eval: bool = False,
) -> COCOeval_faster:
    """COCO's evaluation of these detections, not yet run.

    Args:
        detections: Of each image.
        targets: The ground truth of the same images.
        num_classes: Labels are 0 to ``num_classes - 1``.
        separate_eval: Keep the matches of each image, for accumulating them repeatedly.
    """
    sizes = (len(targets), num_classes)
    ground_truth = _index(target_records(targets), *sizes)
    results = _index(detection_records(detections), *sizes)
    return COCOeval_faster(
        ground_truth, results, "bbox", print_function=_no_print, separate_eval=separate_eval
    )


def mean_precision(precision: np.ndarray) -> float | None:
    """Mean of an evaluation's precision where it is defined; None where it is nowhere defined."""
    defined = precision[precision != UNDEFINED]
    return _defined(defined.mean()) if len(defined) else None


# An id is an index + 1, since COCO's code takes the id 0 for "no match". No id leaves this file.


def _index(records: Iterable[dict[str, Any]], num_images: int, num_classes: int) -> COCO:
    """The records as COCO's code takes them."""
    annotations = [{"id": number, **record} for number, record in enumerate(records, start=1)]
    images = [{"id": index + 1} for index in range(num_images)]
    categories = [{"id": label + 1, "name": str(label)} for label in range(num_classes)]
    dataset = {"images": images, "categories": categories, "annotations": annotations}
    return COCO(dataset, print_function=_no_print)


def target_records(targets: Sequence[Target]) -> Iterable[dict[str, Any]]:
    """Ground truth as rows of COCO's format."""
    for index, target in enumerate(targets):
        crowds = (target.ignore | target.crowd).tolist()
        for record, area, crowd in zip(
            _records(index, target), target.areas.tolist(), crowds, strict=True
        ):
            yield {**record, "area": area, "iscrowd": int(crowd)}


def detection_records(detections: Sequence[Detections]) -> Iterable[dict[str, Any]]:
    """Detections as rows of COCO's format."""
    for index, found in enumerate(detections):
        areas = box_ops.area(found.boxes.double()).tolist()
        for record, area, score in zip(
            _records(index, found), areas, found.scores.tolist(), strict=True
        ):
            yield {**record, "area": area, "score": score, "iscrowd": 0}


def _records(index: int, boxed: Target | Detections) -> Iterable[dict[str, Any]]:
    """Image, category and box of each row."""
    boxes = box_ops.xyxy_to_xywh(boxed.boxes.double()).tolist()
    for box, label in zip(boxes, boxed.labels.tolist(), strict=True):
        yield {"image_id": index + 1, "category_id": label + 1, "bbox": box}


def _defined(value: float) -> float | None:
    return None if value == UNDEFINED else round(float(value), DECIMALS)


def _no_print(*_: object) -> None:
    """Replaces the library's printing."""
