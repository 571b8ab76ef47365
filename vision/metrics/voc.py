"""Average precision as the PASCAL VOC development kit measures it."""

# K detections, M objects

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch.nn.functional import pad

import vision.boxes as box_ops
from vision.metrics.inputs import check_inputs
from vision.structures import Detections, Target

__all__ = ["VocResult", "voc_ap"]

NO_OBJECT = -1.0
"""Overlap of a detection in whose image there is no object of its class."""


@dataclass(frozen=True, slots=True)
class VocResult:
    """Average precision at one IoU threshold, in [0, 1].

    Attributes:
        ap: Of each class, the area under the envelope of precision over recall (VOC 2010 and
            later); None where the class has no box that counts.
        ap_11pt: The same from the envelope at the recalls 0, 0.1, ..., 1 (up to VOC 2009).
        num_boxes: Of each class, the boxes that count, that is all but the ignored ones.
    """

    ap: list[float | None]
    ap_11pt: list[float | None]
    num_boxes: list[int]

    @property
    def mean(self) -> float | None:
        """Mean of ``ap`` over the classes that have it; None if none has."""
        return _mean(self.ap)

    @property
    def mean_11pt(self) -> float | None:
        """Mean of ``ap_11pt`` over the classes that have it; None if none has."""
        return _mean(self.ap_11pt)


class _Overlaps(NamedTuple):
    """What each detection overlaps in its image.

    Attributes:
        iou: Highest IoU with an object of its class, `NO_OBJECT` where there is none.
        objects: Index of that object among those of all images.
        crowd_share: Largest share of its own area that lies in one crowd box of its class.
    """

    iou: Float64[np.ndarray, "K"]
    objects: Int64[np.ndarray, "K"]
    crowd_share: Float64[np.ndarray, "K"]


def voc_ap(
    detections: Sequence[Detections],
    targets: Sequence[Target],
    num_classes: int,
    iou_threshold: float = 0.5,
) -> VocResult:
    """Average precision of each class over all images.

    A class's detections are taken by falling score, equal scores in the order given. Each goes
    to the object of its class and image with the highest IoU, found before or not. At
    ``iou_threshold`` or above, the first on an object is right and later ones are wrong; on an
    ignored object it is left out. Below, it is wrong. Boxes are continuous (x0 = xmin - 1,
    x1 = xmax), so that IoU is the kit's own, which adds 1 to inclusive corners.

    Two things are not the kit's. Crowd boxes (COCO) are no objects: a detection below the
    threshold is left out if a share of ``iou_threshold`` of its own area lies in one of its
    class. And recalls are compared with the eleven points in whole numbers, so that 3 of 10
    reaches the point 0.3, which in floating point ``3 * 0.1`` is above.

    Args:
        detections: Of each image, in pixels of the image that its target refers to.
        targets: The truth of the same images.
        num_classes: Labels are 0 to ``num_classes - 1``.
        iou_threshold: In (0, 1].

    Raises:
        ValueError: If the threshold is out of range or the two do not fit (`check_inputs`).
    """
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"iou_threshold: expected more than 0, at most 1, got {iou_threshold}")
    check_inputs(detections, targets, num_classes)
    found = [one.to("cpu") for one in detections]
    ignore = _join([(one.ignore | one.crowd).numpy() for one in targets], np.bool_)
    truth_labels = _join([one.labels.numpy() for one in targets], np.int64)
    num_boxes: list[int] = np.bincount(truth_labels[~ignore], minlength=num_classes).tolist()
    pairs = [
        _average_precision(right, boxes) if boxes else (None, None)
        for right, boxes in zip(
            _outcomes(found, targets, ignore, num_classes, iou_threshold), num_boxes, strict=True
        )
    ]
    return VocResult([area for area, _ in pairs], [points for _, points in pairs], num_boxes)


def _outcomes(
    detections: Sequence[Detections],
    targets: Sequence[Target],
    ignore: Bool[np.ndarray, "M"],
    num_classes: int,
    iou_threshold: float,
) -> list[Bool[np.ndarray, "..."]]:
    """Of each class, which detections are right, by falling score and without those left out."""
    scores = _join([one.scores.numpy() for one in detections], np.float32)
    labels = _join([one.labels.numpy() for one in detections], np.int64)
    order = np.lexsort((-scores, labels))
    overlaps = _Overlaps(*(column[order] for column in _overlaps(detections, targets)))
    right, counted = _judge(overlaps, ignore, iou_threshold)
    ends = np.searchsorted(labels[order][counted], np.arange(1, num_classes))
    return np.split(right[counted], ends)[:num_classes]


def _overlaps(detections: Sequence[Detections], targets: Sequence[Target]) -> _Overlaps:
    """What each detection overlaps, image after image."""
    columns = [_Overlaps(np.zeros(0), np.zeros(0, np.int64), np.zeros(0))]
    num_objects = 0
    for found, target in zip(detections, targets, strict=True):
        boxes, truth = found.boxes.double(), target.boxes.double()
        same_class = found.labels[:, None] == target.labels
        iou = box_ops.iou(boxes, truth).where(same_class & ~target.crowd, NO_OBJECT)
        area = box_ops.area(boxes).clamp(min=torch.finfo(torch.float64).tiny)
        share = box_ops.intersection(boxes, truth) / area[:, None]
        share = share.where(same_class & target.crowd, 0.0)
        # One more column, so that an image without truth has a highest value too.
        highest, objects = pad(iou, (0, 1), value=NO_OBJECT).max(dim=1)
        crowd_share = pad(share, (0, 1)).amax(dim=1)
        columns.append(
            _Overlaps(highest.numpy(), objects.numpy() + num_objects, crowd_share.numpy())
        )
        num_objects += len(target)
    return _Overlaps(*(np.concatenate(parts) for parts in zip(*columns, strict=True)))


def _judge(
    overlaps: _Overlaps, ignore: Bool[np.ndarray, "M"], iou_threshold: float
) -> tuple[Bool[np.ndarray, "K"], Bool[np.ndarray, "K"]]:
    """Which detections, by falling score within each class, are right and which count at all."""
    matched = overlaps.iou >= iou_threshold
    on_ignored = np.append(ignore, False)[overlaps.objects]
    left_out = np.where(matched, on_ignored, overlaps.crowd_share >= iou_threshold)
    claims = np.flatnonzero(matched & ~left_out)
    _, first = np.unique(overlaps.objects[claims], return_index=True)
    right = np.zeros(len(matched), np.bool_)
    right[claims[first]] = True
    return right, ~left_out


def _average_precision(right: Bool[np.ndarray, "K"], num_boxes: int) -> tuple[float, float]:
    """Area under the envelope, and its mean at eleven recalls, of one class.

    Each right detection raises the recall by ``1 / num_boxes``: the area is summed in those
    steps, so that it is exactly 1 where all is found.
    """
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    area = envelope[right].sum() / num_boxes
    reached = np.searchsorted(10 * hits, np.arange(11) * num_boxes)
    return float(area), float(np.append(envelope, 0.0)[reached].mean())


def _join(parts: Sequence[np.ndarray], dtype: type[np.generic]) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *parts])


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
