"""Which detection finds which box, by COCO's rule at the IoU threshold 0.5."""

# K detections, n ground-truth boxes, C classes, p overlapping pairs

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from vision.metrics.overlaps import (
    FlatDetections,
    FlatTargets,
    Pairs,
    find_pairs,
    flatten_detections,
    flatten_targets,
)
from vision.structures import Detections, Target

FOREGROUND_IOU = 0.5
"""The IoU from which a detection of a box's class finds the box."""
NONE = -1
"""Index of no box or detection."""


@dataclass(frozen=True)
class Assignment:
    """The box of each detection.

    Attributes:
        boxes: Index of the box, `NONE` without one.
        is_right: Whether the detection finds a box that counts.
        is_left_out: Whether the detection does not count.
    """

    boxes: Int64[ndarray, "K"]
    is_right: Bool[ndarray, "K"]
    is_left_out: Bool[ndarray, "K"]

    @property
    def is_wrong(self) -> Bool[ndarray, "K"]:
        """Whether the detection counts and finds no box."""
        return np.asarray(~self.is_right & ~self.is_left_out)


@dataclass(frozen=True)
class Matching:
    """Detections, boxes, and which detection finds which box of its class.

    Attributes:
        found: All detections.
        truth: All boxes.
        pairs: All pairs of the two that overlap.
        assignment: The box of each detection.
        num_classes: Labels are 0 to ``num_classes - 1``.
    """

    found: FlatDetections
    truth: FlatTargets
    pairs: Pairs
    assignment: Assignment
    num_classes: int

    def is_same_class(self) -> Bool[ndarray, "p"]:
        """Whether detection and box of each pair are of one class."""
        return _is_same_class(self.pairs, self.found, self.truth)

    def is_found(self, kept: Bool[ndarray, "K"] | None = None) -> Bool[ndarray, "n"]:
        """Whether a detection finds each box; one of those to keep, if they are given."""
        is_right = self.assignment.is_right if kept is None else self.assignment.is_right & kept
        is_found = np.zeros(len(self.truth), np.bool_)
        is_found[self.assignment.boxes[is_right]] = True
        return is_found

    def count_boxes(self, mask: Bool[ndarray, "n"]) -> Int64[ndarray, "C"]:
        """Number of boxes of each class that a mask selects."""
        return np.bincount(self.truth.labels[mask], minlength=self.num_classes)


def match(
    detections: Sequence[Detections], targets: Sequence[Target], num_classes: int
) -> Matching:
    """Match the detections of all images with their boxes; see `assign`."""
    found, truth = flatten_detections(detections), flatten_targets(targets)
    pairs = find_pairs(found, truth)
    own = pairs.where(_is_same_class(pairs, found, truth))
    assignment = assign(own, truth, truth.ignored, len(found))
    return Matching(found, truth, pairs, assignment, num_classes)


def assign(pairs: Pairs, truth: FlatTargets, ignored: Bool[ndarray, "n"], count: int) -> Assignment:
    """Give each detection, by descending score, the box that it overlaps most and that is free.

    This is the rule of COCO's evaluation: a detection takes a box that counts if it can, else an
    ignored one, by which it is left out. Only crowds (``truth.ignored``) are taken by several.

    Args:
        pairs: Those that may be assigned; overlaps below `FOREGROUND_IOU` are not.
        truth: The boxes of the pairs.
        ignored: Which boxes do not count, crowds among them.
        count: Number of detections.
    """
    pairs = pairs.where(pairs.overlap >= FOREGROUND_IOU)
    order = np.lexsort((-pairs.overlap, ignored[pairs.truth], pairs.found))
    boxes = [NONE] * count
    is_taken, is_crowd = [False] * len(truth), truth.ignored.tolist()
    for found, box in zip(pairs.found[order].tolist(), pairs.truth[order].tolist(), strict=True):
        if boxes[found] == NONE and not is_taken[box]:
            boxes[found] = box
            is_taken[box] = not is_crowd[box]
    assigned = np.array(boxes, np.int64)
    is_left_out = np.append(ignored, False)[assigned]
    return Assignment(assigned, (assigned != NONE) & ~is_left_out, is_left_out)


def _is_same_class(pairs: Pairs, found: FlatDetections, truth: FlatTargets) -> Bool[ndarray, "p"]:
    return np.asarray(found.labels[pairs.found] == truth.labels[pairs.truth])
