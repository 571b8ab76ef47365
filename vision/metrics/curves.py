"""Precision and recall over the score, the best threshold of each class, and COCO's AP."""

# K detections of one class, C classes

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from vision.metrics.matching import Matching
from vision.metrics.voc import mean_defined

DEFAULT_THRESHOLD = 0.5
"""Score threshold of a class without a best threshold."""
SHARED_BOXES = 100
"""Boxes of the average class that are added to a class's own when its threshold is chosen."""


class Curve(NamedTuple):
    """Precision and recall of one class at the IoU threshold 0.5.

    Attributes:
        scores: Scores of the detections that count, in descending order.
        precision: Precision of the detections up to and including each one.
        recall: Recall of the detections up to and including each one.
    """

    scores: Float64[ndarray, "K"]
    precision: Float64[ndarray, "K"]
    recall: Float64[ndarray, "K"]


class OperatingPoint(NamedTuple):
    """The best score threshold of one class, and precision, recall and F1 at it, in [0, 1]."""

    score: float
    precision: float
    recall: float
    f1: float


def make_curves(matching: Matching) -> list[Curve | None]:
    """Compute the curve of each class; None for a class without a box that counts."""
    found, assignment = matching.found, matching.assignment
    num_boxes = matching.count_boxes(~matching.ignored).tolist()
    kept = np.flatnonzero(~assignment.is_left_out)
    classes = by_class(found.labels[kept], matching.num_classes)
    return [
        _curve(found.scores[kept[rows]], assignment.is_right[kept[rows]], boxes) if boxes else None
        for rows, boxes in zip(classes, num_boxes, strict=True)
    ]


def _curve(scores: Float64[ndarray, "K"], is_right: Bool[ndarray, "K"], num_boxes: int) -> Curve:
    hits = np.cumsum(is_right)
    return Curve(scores, hits / np.arange(1, len(hits) + 1), hits / num_boxes)


def best_thresholds(
    matching: Matching, curves: Sequence[Curve | None], shared_boxes: int = SHARED_BOXES
) -> list[OperatingPoint | None]:
    """Find the threshold of each class with the highest F1; None if no detection is right.

    The best score on a class's few boxes is mostly noise. Therefore ``shared_boxes`` boxes are
    added to the boxes of each class when F1 is computed. The fraction of these that is found at a
    threshold, and the wrong detections for each of them, are the averages over all classes. If
    several thresholds have the same F1, the highest is taken.

    Args:
        matching: Which detection finds which box.
        curves: The curve of each class, from `make_curves`.
        shared_boxes: Number of boxes to add; 0 for the F1 of the class's own boxes.
    """
    found, assignment = matching.found, matching.assignment
    num_boxes = matching.count_boxes(~matching.ignored)
    rows = np.flatnonzero(~assignment.is_left_out & (num_boxes[found.labels] > 0))
    rows = rows[np.argsort(-found.scores[rows], kind="stable")]
    hits = np.append(0, np.cumsum(assignment.is_right[rows]))
    share = shared_boxes / max(1, num_boxes.sum())
    points: list[OperatingPoint | None] = []
    for curve, boxes in zip(curves, num_boxes.tolist(), strict=True):
        if curve is None:
            points.append(None)
            continue
        count = np.searchsorted(-found.scores[rows], -curve.scores, side="right")
        right = curve.recall * boxes + share * hits[count]
        total = np.arange(1, len(right) + 1) + boxes + share * count + shared_boxes
        points.append(best_threshold(curve, 2 * right / total))
    return points


def best_threshold(
    curve: Curve | None, value: Float64[ndarray, "K"] | None = None
) -> OperatingPoint | None:
    """Find the threshold with the highest value; None if no detection is right.

    A detection is kept if its score is at least the threshold. If several thresholds have the same
    value, the highest is taken.

    Args:
        curve: The curve of one class.
        value: The value of each detection's score as the threshold; None for F1,
            ``2 * precision * recall / (precision + recall)``.
    """
    if curve is None or not curve.recall.any():
        return None
    scores, precision, recall = curve
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)
    value = f1.copy() if value is None else value
    # A threshold keeps all detections with the same score, and has to keep a right one.
    value[:-1][scores[:-1] == scores[1:]] = -1
    value[recall == 0] = -1
    best = int(value.round(12).argmax())
    return OperatingPoint(*(float(values[best]) for values in (scores, precision, recall, f1)))


def threshold_scores(points: list[OperatingPoint | None]) -> Float64[ndarray, "C"]:
    """The best threshold of each class, or `DEFAULT_THRESHOLD` for a class without one."""
    return np.array([point.score if point else DEFAULT_THRESHOLD for point in points], np.float64)


def mean_precision(
    labels: Int64[ndarray, "M"],
    is_right: Bool[ndarray, "M"],
    num_boxes: Int64[ndarray, "C"],
    present: Bool[ndarray, "C"],
) -> float | None:
    """COCO's average precision, as the mean over the classes that are present.

    Args:
        labels: Labels of all detections that count, by descending score.
        is_right: Whether each of these detections finds a box.
        num_boxes: Number of boxes of each class that count.
        present: The classes to average over. A class without boxes and detections is left out; a
            class with detections only has an AP of 0.

    Returns:
        The mean, or None if no class is left.
    """
    parts = zip(by_class(labels, len(num_boxes)), num_boxes.tolist(), present, strict=True)
    return mean_defined(
        [
            coco_precision(is_right[rows], boxes)
            for rows, boxes, is_present in parts
            if is_present and (boxes or len(rows))
        ]
    )


def coco_precision(is_right: Bool[ndarray, "K"], num_boxes: int) -> float:
    """Average the envelope of precision over the recalls 0, 0.01, ..., 1.

    Args:
        is_right: Whether each detection of the class that counts is right, by descending score.
        num_boxes: Number of boxes of the class that count; the result is 0 if it is 0.
    """
    if not num_boxes:
        return 0.0
    hits = np.cumsum(is_right)
    envelope = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    reached = np.searchsorted(hits / num_boxes, np.arange(101) / 100)
    return float(np.append(envelope, 0.0)[reached].mean())


def by_class(labels: Int64[ndarray, "M"], num_classes: int) -> list[Int64[ndarray, "..."]]:
    """Indices of the rows of each class, in ascending order."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, num_classes)))[:num_classes]
