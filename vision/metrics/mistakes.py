"""The mistakes of a detector: its wrong detections and the boxes that it misses."""

# K detections

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from vision.metrics.errors import KIND_NAMES, Errors, missed_boxes
from vision.metrics.matching import NONE, Matching

Box = tuple[float, float, float, float]
"""``xyxy`` in pixels."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A detection that is wrong, or a box that is missed.

    Attributes:
        kind: "classification", "localisation", "both", "duplicate", "background" or "missed".
        image: Index of the image.
        box: The detection's box, or the missed box.
        label: Class of the detection or of the missed box.
        score: Score of the detection; None for "missed".
        true_label: Class of the ground-truth box that explains the mistake: the box that the
            detection overlaps most, among those of other classes for "classification", of its own
            class for "localisation" and "duplicate", of any class for "both" and "background". None
            for "missed" and without overlap.
        true_box: The ground-truth box; None if ``true_label`` is.
        iou: IoU with the ground-truth box; 0 without one.
    """

    kind: str
    image: int
    box: Box
    label: int
    score: float | None
    true_label: int | None
    true_box: Box | None
    iou: float


def find_mistakes(matching: Matching, errors: Errors, kept: Bool[ndarray, "K"]) -> list[Mistake]:
    """List the kept detections that are wrong, and the boxes that no kept detection finds.

    Boxes on which a "classification" or "localisation" mistake lies are not listed as missed.

    Args:
        matching: Detections and boxes.
        errors: The errors of the detections.
        kept: Whether each detection is at or above its threshold.

    Returns:
        The mistakes, sorted by kind, then detections by descending score and boxes by descending
        area.
    """
    truth = matching.truth
    rows = np.flatnonzero(kept & matching.assignment.is_wrong)
    wrong = [
        _wrong_detection(matching, errors, row)
        for row in rows[np.argsort(errors.kinds[rows], kind="stable")].tolist()
    ]
    boxes = np.flatnonzero(missed_boxes(matching, errors, kept))
    missed = [
        _missed_box(matching, row)
        for row in boxes[np.argsort(-truth.areas[boxes], kind="stable")].tolist()
    ]
    return wrong + missed


def _wrong_detection(matching: Matching, errors: Errors, row: int) -> Mistake:
    found, truth, box = matching.found, matching.truth, int(errors.boxes[row])
    return Mistake(
        KIND_NAMES[errors.kinds[row]],
        int(found.images[row]),
        as_box(found.boxes[row]),
        int(found.labels[row]),
        float(found.scores[row]),
        None if box == NONE else int(truth.labels[box]),
        None if box == NONE else as_box(truth.boxes[box]),
        float(errors.overlaps[row]),
    )


def _missed_box(matching: Matching, row: int) -> Mistake:
    truth = matching.truth
    image, label = int(truth.images[row]), int(truth.labels[row])
    return Mistake("missed", image, as_box(truth.boxes[row]), label, None, None, None, 0.0)


def as_box(row: Float64[ndarray, "4"]) -> Box:
    """Convert one ``xywh`` row to an ``xyxy`` tuple."""
    x, y, width, height = row.tolist()
    return x, y, x + width, y + height
