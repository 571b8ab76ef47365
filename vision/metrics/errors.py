"""The kinds of error of a detector and what each costs, as TIDE defines them.

TIDE: A General Toolbox for Identifying Object Detection Errors (arXiv 2008.08115), sections 2.2 and
2.3. The costs equal those of its authors' code, ``tidecv`` 1.0.1, except in these cases:

- A class without boxes does not count here; in ``tidecv`` it has an AP of 0 if it is detected.
- Equal scores stay in the order of the images here; in ``tidecv`` a repair changes their order.
- A detection with exactly half of its area inside an ignored box is left out here, as in COCO.
- All detections count here; in ``tidecv`` only the best 100 of each image.
"""

# K detections, n ground-truth boxes, C classes

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from vision.metrics.curves import mean_precision
from vision.metrics.matching import FOREGROUND_IOU, NONE, Matching
from vision.metrics.pairs import Pairs

CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, BACKGROUND = range(5)
KIND_NAMES = ("classification", "localisation", "both", "duplicate", "background")
"""Names of the five kinds of wrong detections; the sixth kind of error is a missed box."""
BACKGROUND_IOU = 0.1
"""A detection with an IoU up to this with all boxes is on background (``t_b`` in the paper)."""


@dataclass(frozen=True)
class Errors:
    """The error of each detection that is not right.

    Attributes:
        kinds: `CLASSIFICATION` to `BACKGROUND`, or `NONE` for right detections. Detections that are
            left out have a kind as well, as in ``tidecv``.
        boxes: Index of the box that explains the error: the box that the detection overlaps most,
            among those of other classes for a classification error, of its own class for a
            localisation error or a duplicate, of any class otherwise; `NONE` without overlap.
        overlaps: IoU with that box.
    """

    kinds: Int64[ndarray, "K"]
    boxes: Int64[ndarray, "K"]
    overlaps: Float64[ndarray, "K"]

    def is_repairable(self) -> Bool[ndarray, "K"]:
        """Whether each detection would find its box with a corrected class or location."""
        return np.isin(self.kinds, (CLASSIFICATION, LOCALISATION))


def classify_errors(matching: Matching) -> Errors:
    """Determine the kind of error of each detection that is not right (section 2.2)."""
    pairs, count = matching.pairs, len(matching.found)
    counts, is_same = ~matching.ignored[pairs.truth], matching.is_same_class()
    same, same_box = _closest(pairs.select(counts & is_same), count)
    other, other_box = _closest(pairs.select(counts & ~is_same), count)
    kinds = np.select(
        [
            matching.assignment.is_right,
            (same >= BACKGROUND_IOU) & (same < FOREGROUND_IOU),
            other >= FOREGROUND_IOU,
            same >= FOREGROUND_IOU,
            np.maximum(same, other) <= BACKGROUND_IOU,
        ],
        [NONE, LOCALISATION, CLASSIFICATION, DUPLICATE, BACKGROUND],
        default=BOTH,
    )
    is_own = (kinds == LOCALISATION) | (kinds == DUPLICATE)
    use_same = is_own | ((kinds != CLASSIFICATION) & (same >= other))
    boxes, overlaps = np.where(use_same, same_box, other_box), np.where(use_same, same, other)
    return Errors(kinds, boxes, overlaps)


def _closest(pairs: Pairs, count: int) -> tuple[Float64[ndarray, "K"], Int64[ndarray, "K"]]:
    """Highest overlap of each detection, and the index of its box; 0 and `NONE` without overlap."""
    overlaps, boxes = np.zeros(count), np.full(count, NONE)
    order = np.lexsort((-pairs.overlap, pairs.found))
    rows, first = np.unique(pairs.found[order], return_index=True)
    overlaps[rows], boxes[rows] = pairs.overlap[order][first], pairs.truth[order][first]
    return overlaps, boxes


def missed_boxes(
    matching: Matching, errors: Errors, kept: Bool[ndarray, "K"] | None = None
) -> Bool[ndarray, "n"]:
    """Mark the boxes that no detection finds, or would find with a corrected class or location.

    Args:
        matching: Detections and boxes.
        errors: The errors of the detections.
        kept: Whether to consider each detection; all by default.
    """
    is_repairable = errors.is_repairable() if kept is None else errors.is_repairable() & kept
    is_missed = np.asarray(~(matching.ignored | matching.is_found(kept)))
    is_missed[errors.boxes[is_repairable]] = False
    return is_missed


def error_costs(matching: Matching, errors: Errors) -> dict[str, float]:
    """Compute what each kind of error costs: the AP50 gained if it alone is repaired.

    The repairs are those of section 2.3 of the paper. A detection with a classification error gets
    the class of its box, and one with a localisation error becomes right. If the box is already
    found, or is found by the repair of a detection with a higher score, the detection is removed.
    Detections with other errors are removed. "missed" boxes are removed from the ground truth. For
    "false positives" all wrong detections are removed, for "false negatives" all boxes that are not
    found.

    Returns:
        The cost of each kind, in the order of the paper; all 0 if no box counts.
    """
    found, truth, right = matching.found, matching.truth, matching.assignment.is_right
    counts = ~matching.assignment.is_left_out
    num_boxes = matching.count_boxes(~matching.ignored)
    not_missed = matching.count_boxes(~matching.ignored & ~missed_boxes(matching, errors))
    is_repaired, box_labels = _repaired(matching, errors), np.append(truth.labels, NONE)

    def precision(kept: Bool[ndarray, "K"], boxes: Int64[ndarray, "C"], kind: int = NONE) -> float:
        repaired = is_repaired & (errors.kinds == kind)
        labels = np.where(repaired, box_labels[errors.boxes], found.labels)
        is_right = right | repaired
        value = mean_precision(labels[kept], is_right[kept], boxes, num_boxes > 0)
        return 1.0 if value is None else value  # no box is left to find, and no detection is wrong

    def repair(kind: int) -> float:
        return precision(np.where(errors.kinds == kind, is_repaired, counts), num_boxes, kind)

    fixed = {
        **{name: repair(kind) for kind, name in enumerate(KIND_NAMES)},
        "missed": precision(counts, not_missed),
        "false positives": precision(right, num_boxes),
        "false negatives": precision(counts, matching.count_boxes(matching.is_found())),
    }
    base = precision(counts, num_boxes)
    return {name: value - base for name, value in fixed.items()}


def _repaired(matching: Matching, errors: Errors) -> Bool[ndarray, "K"]:
    """Mark the detections that find a box once their class or location is repaired."""
    rows = np.flatnonzero(errors.is_repairable())
    _, first = np.unique(errors.boxes[rows], return_index=True)  # by descending score
    best = rows[first]
    is_repaired = np.zeros(len(errors.kinds), np.bool_)
    is_repaired[best[~matching.is_found()[errors.boxes[best]]]] = True
    return is_repaired
