"""Assignment of detections to objects by the rules of the PASCAL VOC development kit."""

# K detections, C classes

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch.nn.functional import pad

import vision.boxes as box_ops
from vision.structures import Detections, Target

NO_OBJECT = -1.0
"""Overlap of a detection in an image without an object of its class."""


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


def match_detections(
    detections: Sequence[Detections],
    targets: Sequence[Target],
    num_classes: int,
    iou_threshold: float = 0.5,
) -> VocMatches:
    """Which detections count, and which are true positives; see `vision.metrics.voc.voc_ap`."""
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


def _join(parts: Sequence[np.ndarray], dtype: type[np.generic]) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *parts])
