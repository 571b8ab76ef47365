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
"""The least IoU with which a detection of a box's class finds the box."""
NONE = -1
"""The index that stands for no box or no detection."""


@dataclass(frozen=True)
class RankedDetections:
    """Detections of all images, sorted by descending score.

    Equal scores are in the order of the images, and within an image in the order of the input.

    Attributes:
        images: Index of the image of each detection.
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
        boxes: Index of the box of each detection; `NONE` for a detection without a box.
        is_right: Whether each detection finds a box that counts.
        is_left_out: Whether each detection has an ignored box and therefore does not count.
    """

    boxes: Int64[ndarray, "K"]
    is_right: Bool[ndarray, "K"]
    is_left_out: Bool[ndarray, "K"]

    @property
    def is_wrong(self) -> Bool[ndarray, "K"]:
        """Whether each detection counts but finds no box."""
        return np.asarray(~self.is_right & ~self.is_left_out)


@dataclass(frozen=True)
class Matching:
    """Detections, boxes, and which detection finds which box of its class.

    Attributes:
        found: All detections.
        truth: All boxes.
        ignored: Whether each box is ignored. As in `vision.metrics.coco_ap`, all ignored boxes are
            treated as crowds: an ignored box takes any number of detections of its class, by the
            fraction of their own area inside it, and these do not count.
        pairs: All overlapping pairs of a detection and a box, whatever their classes.
        assignment: The box of each detection, among those of its class.
        num_classes: Labels are 0 to ``num_classes - 1``.
    """

    found: RankedDetections
    truth: TargetTable
    ignored: Bool[ndarray, "n"]
    pairs: Pairs
    assignment: Assignment
    num_classes: int

    def is_same_class(self) -> Bool[ndarray, "p"]:
        """Whether detection and box of each pair have the same class."""
        return _is_same_class(self.pairs, self.found, self.truth)

    def is_found(self, kept: Bool[ndarray, "K"] | None = None) -> Bool[ndarray, "n"]:
        """Whether each box is found by a detection, or by one in the mask ``kept`` if given."""
        is_right = self.assignment.is_right if kept is None else self.assignment.is_right & kept
        is_found = np.zeros(len(self.ignored), np.bool_)
        is_found[self.assignment.boxes[is_right]] = True
        return is_found

    def count_boxes(self, mask: Bool[ndarray, "n"]) -> Int64[ndarray, "C"]:
        """Count the boxes of each class that the mask selects."""
        return np.bincount(self.truth.labels[mask], minlength=self.num_classes)

    def assign(self, candidates: Bool[ndarray, "p"], ignored: Bool[ndarray, "n"]) -> Assignment:
        """Assign the pairs that the mask ``candidates`` selects, with these boxes ignored."""
        pairs = self.pairs.select(candidates)
        return assign_pairs(pairs, self.ignored, ignored, len(self.found))


def match(
    detections: Sequence[Detections], targets: Sequence[Target], num_classes: int
) -> Matching:
    """Match the detections of all images with the boxes; see `assign_pairs` for the rule.

    Raises:
        ValueError: If detections and targets do not fit (`check_inputs`).
    """
    table, truth = check_inputs(detections, targets, num_classes)
    order = np.argsort(-table.scores, kind="stable")
    columns = (table.images, table.labels, table.scores, table.boxes)
    found = RankedDetections(*(column[order] for column in columns))
    ignored = truth.ignore | truth.crowd
    pairs = find_pairs(
        replace(
            table, labels=np.zeros_like(table.labels)
        ),  # one class for all, to pair across classes
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
    """Assign to each detection, by descending score, the free box that it overlaps most.

    This is the rule of COCO's evaluation: a detection takes a box that counts if one is free, else
    an ignored box, and is then left out. Only crowds can be taken by several detections.

    Args:
        pairs: The candidates; pairs with an overlap below `FOREGROUND_IOU` are not assigned.
        crowds: Whether each box is a crowd.
        ignored: Whether each box is ignored; crowds are.
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
