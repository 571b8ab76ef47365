"""Average precision as the PASCAL VOC development kit measures it."""

# K detections, M objects, C classes

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch.nn.functional import pad

import vision.boxes as box_ops
from vision.metrics.inputs import check_inputs
from vision.structures import Detections, Target

__all__ = [
    "VocMatches",
    "VocResult",
    "average_precision",
    "match_detections",
    "mean_defined",
    "voc_ap",
]

NO_OBJECT = -1.0
"""Overlap of a detection in an image without an object of its class."""


@dataclass(frozen=True, slots=True)
class VocResult:
    """Average precision at one IoU threshold, in [0, 1].

    Attributes:
        ap: Of each class, the area under the envelope of precision over recall (VOC 2010 and
            later); None where the class has no box that counts.
        ap_11pt: The same from the envelope at the recalls 0, 0.1, ..., 1 (up to VOC 2009).
        num_boxes: Of each class, the number of boxes that count, that is, are not ignored.
    """

    ap: list[float | None]
    ap_11pt: list[float | None]
    num_boxes: list[int]

    @property
    def mean(self) -> float | None:
        """Mean of ``ap`` over the classes where it is defined; None if there are none."""
        return mean_defined(self.ap)

    @property
    def mean_11pt(self) -> float | None:
        """Mean of ``ap_11pt`` over the classes where it is defined; None if there are none."""
        return mean_defined(self.ap_11pt)


class VocMatches(NamedTuple):
    """The detections that count, by class, then by descending score.

    Attributes:
        scores: Confidences.
        labels: Class indices.
        is_true_positive: Whether each detection is the first on an object.
        num_boxes: Number of boxes of each class that count.
    """

    scores: Float32[np.ndarray, "K"]
    labels: Int64[np.ndarray, "K"]
    is_true_positive: Bool[np.ndarray, "K"]
    num_boxes: Int64[np.ndarray, "C"]


class _Overlaps(NamedTuple):
    """The overlaps of each detection with the objects in its image.

    Attributes:
        iou: Highest IoU with an object of its class, `NO_OBJECT` where there is none.
        objects: Index of that object among the objects of all images.
        crowd_overlap: Largest fraction of its own area that lies in one crowd box of its class.
    """

    iou: Float64[np.ndarray, "K"]
    objects: Int64[np.ndarray, "K"]
    crowd_overlap: Float64[np.ndarray, "K"]


def voc_ap(
    detections: Sequence[Detections],
    targets: Sequence[Target],
    num_classes: int,
    iou_threshold: float = 0.5,
) -> VocResult:
    """Average precision of each class over all images.

    The detections of a class are taken in order of descending score, equal scores in the order
    given. Each is assigned to the object of its class and image with the highest IoU, whether or
    not that object is already detected. If the IoU is at least ``iou_threshold``, the first
    detection of an object is a true positive and later ones are false positives; a detection of
    an ignored object is left out. If the IoU is lower, it is a false positive. Boxes are continuous
    (x0 = xmin - 1, x1 = xmax), so that IoU equals the development kit's, which adds 1 to inclusive
    coordinates.

    Two rules differ from the development kit's. Crowd boxes (COCO) are not objects: a detection
    below the threshold is left out if a fraction of at least ``iou_threshold`` of its own area lies
    in a crowd box of its class. And recalls are compared with the eleven points in integers, so
    that 3 of 10 reaches the point 0.3, which in floating point is less than ``3 * 0.1``.

    Args:
        detections: Of each image, in pixels of the image that its target refers to.
        targets: The ground truth of the same images.
        num_classes: Labels are 0 to ``num_classes - 1``.
        iou_threshold: In (0, 1].

    Raises:
        ValueError: If the threshold is out of range or detections and targets do not fit
            (`check_inputs`).
    """
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"iou_threshold: expected more than 0, at most 1, got {iou_threshold}")
    check_inputs(detections, targets, num_classes)
    matches = match_detections(detections, targets, num_classes, iou_threshold)
    ends = np.searchsorted(matches.labels, np.arange(1, num_classes))
    num_boxes: list[int] = matches.num_boxes.tolist()
    pairs = [
        average_precision(is_true_positive, boxes) if boxes else (None, None)
        for is_true_positive, boxes in zip(
            np.split(matches.is_true_positive, ends)[:num_classes], num_boxes, strict=True
        )
    ]
    return VocResult([area for area, _ in pairs], [points for _, points in pairs], num_boxes)


def match_detections(
    detections: Sequence[Detections],
    targets: Sequence[Target],
    num_classes: int,
    iou_threshold: float = 0.5,
) -> VocMatches:
    """Which detections count, and which of them are true positives, by the rules of `voc_ap`."""
    detections = [found.to("cpu") for found in detections]
    ignore = _join([(target.ignore | target.crowd).numpy() for target in targets], np.bool_)
    target_labels = _join([target.labels.numpy() for target in targets], np.int64)
    scores = _join([found.scores.numpy() for found in detections], np.float32)
    labels = _join([found.labels.numpy() for found in detections], np.int64)
    order = np.lexsort((-scores, labels))
    overlaps = _Overlaps(*(column[order] for column in _overlaps(detections, targets)))

    is_matched = overlaps.iou >= iou_threshold
    is_on_ignored = np.append(ignore, False)[overlaps.objects]
    is_left_out = np.where(is_matched, is_on_ignored, overlaps.crowd_overlap >= iou_threshold)
    # The development kit goes through the detections by descending score and marks each object
    # that is matched: the first detection of an object is right, every later one is wrong. Since
    # each detection's object depends on the IoU alone, and not on which objects are marked, the
    # true positives are the first occurrences of each object in that order.
    candidates = np.flatnonzero(is_matched & ~is_left_out)
    _, first = np.unique(overlaps.objects[candidates], return_index=True)
    is_true_positive = np.zeros(len(order), np.bool_)
    is_true_positive[candidates[first]] = True

    kept = order[~is_left_out]
    num_boxes = np.bincount(target_labels[~ignore], minlength=num_classes)
    return VocMatches(scores[kept], labels[kept], is_true_positive[~is_left_out], num_boxes)


def _overlaps(detections: Sequence[Detections], targets: Sequence[Target]) -> _Overlaps:
    """The overlaps of each detection, image after image."""
    columns = [_Overlaps(np.zeros(0), np.zeros(0, np.int64), np.zeros(0))]
    num_objects = 0
    for found, target in zip(detections, targets, strict=True):
        boxes, target_boxes = found.boxes.double(), target.boxes.double()
        is_same_class = found.labels[:, None] == target.labels
        iou = box_ops.iou(boxes, target_boxes).where(is_same_class & ~target.crowd, NO_OBJECT)
        area = box_ops.area(boxes).clamp(min=torch.finfo(torch.float64).tiny)
        fraction = box_ops.intersection(boxes, target_boxes) / area[:, None]
        fraction = fraction.where(is_same_class & target.crowd, 0.0)
        # One more column, so that the maximum exists in an image without objects too.
        highest, objects = pad(iou, (0, 1), value=NO_OBJECT).max(dim=1)
        crowd_overlap = pad(fraction, (0, 1)).amax(dim=1)
        columns.append(
            _Overlaps(highest.numpy(), objects.numpy() + num_objects, crowd_overlap.numpy())
        )
        num_objects += len(target)
    return _Overlaps(*(np.concatenate(parts) for parts in zip(*columns, strict=True)))


def average_precision(
    is_true_positive: Bool[np.ndarray, "K"], num_boxes: int
) -> tuple[float, float]:
    """Area under the precision envelope of one class, and the envelope's mean at eleven recalls.

    Each true positive raises the recall by ``1 / num_boxes``: the area is summed in those steps,
    so that it is exactly 1 where all objects are detected without a false positive.

    Args:
        is_true_positive: Of the detections that count, by descending score.
        num_boxes: Number of boxes of the class that count; at least 1.
    """
    hits = np.cumsum(is_true_positive)
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    area = envelope[is_true_positive].sum() / num_boxes
    reached = np.searchsorted(10 * hits, np.arange(11) * num_boxes)
    return float(area), float(np.append(envelope, 0.0)[reached].mean())


def mean_defined(values: Sequence[float | None]) -> float | None:
    """Mean of the values that are not None; None if there are none."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def _join(parts: Sequence[np.ndarray], dtype: type[np.generic]) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *parts])
