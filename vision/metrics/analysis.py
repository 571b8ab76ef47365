"""What a report tells of a detector: curves, thresholds, confusions, mistakes and their costs."""

# C classes. K detections of one class

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Float64, Int64
from numpy import ndarray

from vision.metrics.results import Metrics
from vision.structures import Detections, Target

Box = tuple[float, float, float, float]
"""xyxy in pixels."""


class Curve(NamedTuple):
    """Precision and recall of one class at the IoU threshold 0.5.

    Attributes:
        scores: Of the detections that count, in descending order.
        precision: Of these detections up to each.
        recall: Of these detections up to each.
    """

    scores: Float64[ndarray, "K"]
    precision: Float64[ndarray, "K"]
    recall: Float64[ndarray, "K"]


class OperatingPoint(NamedTuple):
    """The score threshold of one class with the highest F1, and what it gives, in [0, 1]."""

    score: float
    precision: float
    recall: float
    f1: float


class Group(NamedTuple):
    """The boxes of one range of size or of aspect ratio.

    Attributes:
        name: The range in words.
        num_boxes: Number of its boxes that count.
        ap50: Average precision at the IoU threshold 0.5, mean over the classes that have boxes in
            the range; None where there are none.
        recall: Fraction of its boxes found at the best threshold of their class; None where there
            are none.
    """

    name: str
    num_boxes: int
    ap50: float | None
    recall: float | None


class CalibrationBin(NamedTuple):
    """The detections with a score in ``[low, high)``; the last bin includes 1.

    Attributes:
        low: Lowest score.
        high: Highest score.
        count: Number of detections.
        mean_score: Their mean score; the middle of the bin where there are none.
        precision: Fraction of them that is right; 0 where there are none.
    """

    low: float
    high: float
    count: int
    mean_score: float
    precision: float


@dataclass(frozen=True, slots=True)
class Mistake:
    """A detection that is wrong, or a box that is missed.

    Attributes:
        kind: "classification", "localisation", "both", "duplicate", "background" or "missed".
        image: Index of the image.
        box: The detection's box, or the missed box.
        label: The detection's class, or the missed box's.
        score: The detection's; None for "missed".
        true_label: Class of the ground-truth box that it overlaps most; None without overlap.
        true_box: That box.
        iou: Overlap with that box; 0 without one.
    """

    kind: str
    image: int
    box: Box
    label: int
    score: float | None
    true_label: int | None
    true_box: Box | None
    iou: float


@dataclass(frozen=True, slots=True)
class Suspect:
    """A probable fault of the labels.

    Attributes:
        kind: "missing box" (a confident detection on no box), "unfound box" (no detection at any
            score), or "other class" (a confident detection of another class on a box).
        image: Index of the image.
        box: The detection's box, or the box that nothing finds.
        label: The detection's class, or that of the box that nothing finds.
        score: The detection's; None for "unfound box".
        true_label: Class of the box in the ground truth; None for "missing box".
    """

    kind: str
    image: int
    box: Box
    label: int
    score: float | None
    true_label: int | None


@dataclass(frozen=True, slots=True)
class Analysis:
    """All numbers of an evaluation's report.

    Attributes:
        metrics: COCO's and VOC's.
        intervals: Of "voc.mAP50" and "coco.AP", the 95 % bootstrap interval over images.
        curves: Of each class; None without boxes.
        thresholds: Of each class; None without boxes or without a right detection.
        confusion: Rows are the true classes, then background; columns are the detected classes,
            then missed. Detections are those at or above their class's best threshold.
        sizes: AP and recall by the square root of the boxes' area.
        aspects: AP and recall by width / height.
        error_costs: What each kind of error costs in AP50, in [0, 1]: the six kinds of `Mistake`,
            "false positives" and "false negatives".
        calibration: Bins of equal width over [0, 1].
        calibration_error: The expected calibration error; None without detections.
        mistakes: By kind, the worst first.
        suspects: The most suspicious first.
    """

    metrics: Metrics
    intervals: dict[str, tuple[float, float]]
    curves: list[Curve | None]
    thresholds: list[OperatingPoint | None]
    confusion: Int64[ndarray, "C+1 C+1"]
    sizes: list[Group]
    aspects: list[Group]
    error_costs: dict[str, float]
    calibration: list[CalibrationBin]
    calibration_error: float | None
    mistakes: list[Mistake]
    suspects: list[Suspect]


def analyse(
    detections: Sequence[Detections],
    targets: Sequence[Target],
    names: Sequence[str],
    metrics: Metrics | None = None,
) -> Analysis:
    """All numbers of an evaluation's report.

    Args:
        detections: Of each image, in pixels of the image that its target refers to.
        targets: The ground truth of the same images.
        names: Distinct class names, in label order.
        metrics: Those of the same detections, if they are already known.

    Raises:
        ValueError: If detections and targets do not fit (`vision.metrics.inputs.check_inputs`).
    """
    raise NotImplementedError
