"""Average precision as the PASCAL VOC development kit measures it."""

# k true positives of one class

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from vision.detections import Detections
from vision.metrics.voc_matching import match_by_voc
from vision.structures import Target


@dataclass(frozen=True, slots=True)
class VocResult:
    """Average precision at one IoU threshold, in [0, 1].

    Attributes:
        ap: Average precision of each class as the area under the envelope of precision over recall
            (VOC 2010 and later); None for a class without a box that counts.
        ap_11pt: Average precision of each class as the mean of the envelope at the recalls 0, 0.1,
            ..., 1 (up to VOC 2009); None as for ``ap``.
        num_boxes: Number of boxes of each class that count, that is, are not ignored.
    """

    ap: list[float | None]
    ap_11pt: list[float | None]
    num_boxes: list[int]

    @property
    def mean(self) -> float | None:
        """Mean of ``ap`` over the classes that have one; None without such classes."""
        return mean_defined(self.ap)

    @property
    def mean_11pt(self) -> float | None:
        """Mean of ``ap_11pt`` over the classes that have one; None without such classes."""
        return mean_defined(self.ap_11pt)


def voc_ap(
    detections: Sequence[Detections],
    targets: Sequence[Target],
    num_classes: int,
    iou_threshold: float = 0.5,
) -> VocResult:
    """Compute the average precision of each class over all images.

    The detections of a class are processed by descending score, equal scores in the order of the
    input. Each is assigned to the object of its class and image with the highest IoU, whether or
    not that object is already detected. If the IoU is at least ``iou_threshold``, the first
    detection of an object is a true positive and later ones are false positives; a detection of
    an ignored object is left out. If the IoU is lower, it is a false positive. Boxes are continuous
    (x0 = xmin - 1, x1 = xmax), so that IoU equals the development kit's, which adds 1 to inclusive
    coordinates.

    Two rules differ from the development kit's. Crowd boxes (COCO) are not objects: a detection
    below the threshold is left out if a fraction of at least ``iou_threshold`` of its own area lies
    in a crowd box of its class. And recalls are compared with the eleven points as integers, so
    that 3 of 10 boxes reach the point 0.3; as floating-point numbers, 0.3 is less than ``3 * 0.1``.

    Args:
        detections: The detections in each image, in pixels of the image that its target refers to.
        targets: The ground truth of the same images.
        num_classes: Labels are 0 to ``num_classes - 1``.
        iou_threshold: The least IoU of a true positive, in (0, 1].

    Raises:
        ValueError: If the threshold is out of range or detections and targets do not fit
            (`check_inputs`).
    """
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"iou_threshold: expected more than 0, at most 1, got {iou_threshold}")
    matches = match_by_voc(detections, targets, num_classes, iou_threshold)
    num_boxes = matches.num_boxes()
    pairs = [
        (average_precision(*envelope, boxes), _mean_at_11_points(*envelope, boxes))
        if boxes
        else (None, None)
        for envelope, boxes in zip(matches.envelopes(0), num_boxes, strict=True)
    ]
    return VocResult([area for area, _ in pairs], [points for _, points in pairs], num_boxes)


def average_precision(
    num_hits: Int64[ndarray, "k"], envelope: Float64[ndarray, "k"], num_boxes: int
) -> float:
    """Compute the area under the precision envelope of one class.

    Each true positive raises the recall by ``1 / num_boxes``. The area is summed in these steps, so
    that it is exactly 1 if all objects are detected without a false positive.

    Args:
        num_hits: Number of true positives up to each one; see `Matches.envelopes`.
        envelope: Precision envelope at each true positive.
        num_boxes: Number of boxes of the class that count; at least 1.
    """
    return float((np.diff(num_hits, prepend=0) * envelope).sum() / num_boxes)


def _mean_at_11_points(
    num_hits: Int64[ndarray, "k"], envelope: Float64[ndarray, "k"], num_boxes: int
) -> float:
    """Mean of the precision envelope at the recalls 0, 0.1, ..., 1."""
    reached = np.searchsorted(10 * num_hits, np.arange(11) * num_boxes)
    return float(np.append(envelope, 0.0)[reached].mean())


def mean_defined(values: Sequence[float | None]) -> float | None:
    """Mean of the values that are not None; None if there are none."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
