"""Average precision and recall as COCO measures them."""

# K detections, C classes, T IoU thresholds, I images

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from vision.detections import Detections
from vision.metrics.coco_matching import AREAS, IOU_THRESHOLDS, match_by_coco
from vision.metrics.ranking import Matches
from vision.structures import Target

IOU_50, IOU_75 = 0, 5
"""Indices of the IoU thresholds 0.5 and 0.75."""
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True)
class CocoResult:
    """COCO's twelve numbers under their usual names, in [0, 1]; None for those without objects.

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
        AR10: The same of the ten best detections.
        AR100: The same of the hundred best detections.
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
    """Compute COCO's twelve numbers and the average precision of each class.

    Objects are divided into small, medium and large by ``Target.areas``.

    All ignored boxes are treated as crowds, because COCO's code knows no other kind (it overwrites
    ``ignore`` by ``iscrowd``). A VOC ``difficult`` box can therefore take any number of detections,
    which then do not count, and it is matched by the fraction of the detection's own area inside it
    instead of by IoU; `vision.metrics.voc.voc_ap` follows VOC's own rule.

    Args:
        detections: The detections in each image, in pixels of the image that its target refers to.
        targets: The ground truth of the same images.
        num_classes: Labels are 0 to ``num_classes - 1``.

    Raises:
        ValueError: If detections and targets do not fit (`check_inputs`).
    """
    precisions, recalls = [], []
    for area, found in zip(AREAS, match_by_coco(detections, targets, num_classes), strict=True):
        precisions.append(average_precisions(found[0]))
        recalls += [_recalls(*found, best) for best in ((1, 10, 100) if area == "all" else (100,))]
    by_class, *of_sizes = precisions
    return CocoResult(
        [nan_mean(values) for values in by_class.T],
        *map(nan_mean, (by_class, by_class[IOU_50], by_class[IOU_75], *of_sizes, *recalls)),
    )


def average_precisions(
    matches: Matches, times: Int64[ndarray, "I"] | None = None
) -> Float64[ndarray, "T C"]:
    """Average precision of each class at each IoU threshold.

    It is the mean of the precision envelope at the recalls 0, 0.01, ..., 1, and NaN for a class
    without a box that counts.

    Args:
        matches: The matches in one range of area.
        times: How often each image occurs; once by default.
    """
    num_boxes = matches.num_boxes(times)
    values = np.full((len(IOU_THRESHOLDS), matches.num_classes), np.nan)
    for threshold, row in enumerate(values):
        for label, (num_hits, envelope) in enumerate(matches.envelopes(threshold, times)):
            if num_boxes[label]:
                reached = np.searchsorted(num_hits / num_boxes[label], RECALLS)
                row[label] = np.append(envelope, 0.0)[reached].mean()
    return values


def nan_mean(values: Float64[ndarray, "*any"]) -> float | None:
    """Mean of the values that are not NaN; None if there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else None


def _recalls(matches: Matches, ranks: Int64[ndarray, "K"], best: int) -> Float64[ndarray, "T C"]:
    """Recall of the ``best`` detections of each class and image; NaN without boxes."""
    num_boxes = np.array(matches.num_boxes(), np.int64)
    is_hit = matches.is_true_positive & (ranks < best)
    hits = [np.bincount(matches.labels[row], minlength=len(num_boxes)) for row in is_hit]
    return np.where(num_boxes > 0, hits / np.maximum(num_boxes, 1), np.nan)
