"""Which detection finds which box, by COCO's rule at the IoU threshold 0.5."""

# K detections, n ground-truth boxes, C classes, p overlapping pairs

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from vision.detections import Detections
from vision.metrics.coco_matching import assign
from vision.metrics.inputs import check_inputs
from vision.metrics.pairs import Pairs, find_pairs
from vision.metrics.tables import TargetTable
from vision.structures import Target

FOREGROUND_IOU = 0.5
"""The IoU from which a detection of a box's class finds the box."""
NONE = -1
"""Index of no box or detection."""


@dataclass(frozen=True)
class RankedDetections:
    """Detections of all images by descending score.

    Equal scores are in the order of the images, and in an image as given.

    Attributes:
        images: Index of each one's image.
        labels: Class indices.
        scores: Confidences.
        boxes: ``xywh`` in pixels.
    """

    images: Int64[ndarray, "K"]
    labels: Int64[ndarray, "K"]
    scores: Float64[ndarray, "K"]
    boxes: Float64[ndarray, "K 4"]

    def __len__(self) -> int:
        return len(self.labels)


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
        ignored: The boxes that do not count. All of them are crowds here, as for
            `vision.metrics.coco_ap`: any number of detections of its class is left out by an
            ignored box, by the fraction of their own area inside it.
        pairs: All pairs of a detection and a box, of one class or not, that overlap.
        assignment: The box of each detection.
        num_classes: Labels are 0 to ``num_classes - 1``.
    """

    found: RankedDetections
    truth: TargetTable
    ignored: Bool[ndarray, "n"]
    pairs: Pairs
    assignment: Assignment
    num_classes: int

    def is_same_class(self) -> Bool[ndarray, "p"]:
        """Whether detection and box of each pair are of one class."""
        return _is_same_class(self.pairs, self.found, self.truth)

    def is_found(self, kept: Bool[ndarray, "K"] | None = None) -> Bool[ndarray, "n"]:
        """Whether a detection finds each box; one of those to keep, if they are given."""
        is_right = self.assignment.is_right if kept is None else self.assignment.is_right & kept
        is_found = np.zeros(len(self.ignored), np.bool_)
        is_found[self.assignment.boxes[is_right]] = True
        return is_found

    def count_boxes(self, mask: Bool[ndarray, "n"]) -> Int64[ndarray, "C"]:
        """Number of boxes of each class that a mask selects."""
        return np.bincount(self.truth.labels[mask], minlength=self.num_classes)

    def assign(self, candidates: Bool[ndarray, "p"], ignored: Bool[ndarray, "n"]) -> Assignment:
        """Assign the pairs that a mask selects, with other boxes ignored; see `assign_pairs`."""
        pairs = self.pairs.select(candidates)
        return assign_pairs(pairs, self.ignored, ignored, len(self.found))


def match(
    detections: Sequence[Detections], targets: Sequence[Target], num_classes: int
) -> Matching:
    """Match the detections of all images with their boxes; see `assign_pairs`.

    Raises:
        ValueError: If detections and targets do not fit (`check_inputs`).
    """
    table, truth = check_inputs(detections, targets, num_classes)
    order = np.argsort(-table.scores, kind="stable")
    columns = (table.images, table.labels, table.scores, table.boxes)
    found = RankedDetections(*(column[order] for column in columns))
    ignored = truth.ignore | truth.crowd
    pairs = find_pairs(
        replace(table, labels=np.zeros_like(table.labels)),  # one class, so that all are paired
        order,
        replace(truth, labels=np.zeros_like(truth.labels)),
        ignored,
        np.finfo(np.float64).tiny,
    )
    own = pairs.select(_is_same_class(pairs, found, truth))
    assignment = assign_pairs(own, ignored, ignored, len(found))
    return Matching(found, truth, ignored, pairs, assignment, num_classes)


def assign_pairs(
    pairs: Pairs, crowds: Bool[ndarray, "n"], ignored: Bool[ndarray, "n"], count: int
) -> Assignment:
    """Give each detection, by descending score, the box that it overlaps most and that is free.

    This is the rule of COCO's evaluation: a detection takes a box that counts if it can, else an
    ignored one, by which it is left out. Only crowds are taken by several.

    Args:
        pairs: Those that may be assigned; overlaps below `FOREGROUND_IOU` are not.
        crowds: Which boxes are crowds.
        ignored: Which boxes do not count, crowds among them.
        count: Number of detections.
    """
    pairs = pairs.select(pairs.overlap >= FOREGROUND_IOU)
    order = np.lexsort((-pairs.overlap, ignored[pairs.truth], pairs.found))
    assigned = assign(pairs.select(order), crowds)
    boxes = np.full(count, NONE)
    boxes[assigned.found] = assigned.truth
    is_left_out = np.append(ignored, False)[boxes]
    return Assignment(boxes, (boxes != NONE) & ~is_left_out, is_left_out)


def _is_same_class(pairs: Pairs, found: RankedDetections, truth: TargetTable) -> Bool[ndarray, "p"]:
    return np.asarray(found.labels[pairs.found] == truth.labels[pairs.truth])
