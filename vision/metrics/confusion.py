"""The confusion matrix of a detector, with background."""

# K detections, side = number of classes + 1

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from vision.metrics.matching import Matching


def confusion_matrix(matching: Matching, kept: Bool[ndarray, "K"]) -> Int64[ndarray, "side side"]:
    """Count how often a box of each class is detected as each class.

    Wrong detections, by descending score, are matched with boxes of other classes that no kept
    detection of their own class finds: each takes the free box that it overlaps most, if the IoU is
    at least 0.5. Each box and each detection is counted once: a row sums to the number of boxes of
    its class, a column to the number of detections of its class.

    Args:
        matching: Detections and boxes.
        kept: Whether each detection is at or above its threshold.

    Returns:
        Rows are the true classes, then background; columns are the detected classes, then missed.
    """
    found, truth, pairs = matching.found, matching.truth, matching.pairs
    assignment = matching.assignment
    is_open = ~matching.ignored & ~matching.is_found(kept)
    is_wrong = kept & assignment.is_wrong
    candidates = is_open[pairs.truth] & is_wrong[pairs.found] & ~matching.is_same_class()
    swapped = matching.assign(candidates, matching.ignored)
    is_missed = is_open.copy()
    is_missed[swapped.boxes[swapped.is_right]] = False

    background = missed = matching.num_classes
    counts = kept & ~assignment.is_left_out
    boxes = np.where(assignment.is_right, assignment.boxes, swapped.boxes)[counts]
    rows = np.append(truth.labels, background)[boxes]
    rows = np.concatenate([rows, truth.labels[is_missed]])
    columns = np.concatenate([found.labels[counts], np.full(is_missed.sum(), missed)])
    side = matching.num_classes + 1
    return np.bincount(rows * side + columns, minlength=side * side).reshape(side, side)
