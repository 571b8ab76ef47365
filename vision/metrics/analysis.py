"""All numbers of the report of an evaluation: `analyse`."""

# side = number of classes + 1

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from jaxtyping import Int64
from numpy import ndarray

from vision.detections import Detections
from vision.metrics.calibration import CalibrationBin, calibration_bins, calibration_error
from vision.metrics.confusion import confusion_matrix
from vision.metrics.curves import (
    Curve,
    OperatingPoint,
    best_thresholds,
    make_curves,
    threshold_scores,
)
from vision.metrics.errors import classify_errors, error_costs
from vision.metrics.groups import Group, by_aspect, by_size
from vision.metrics.matching import match
from vision.metrics.mistakes import Mistake, find_mistakes
from vision.metrics.resampling import bootstrap, interval
from vision.metrics.results import Metrics, evaluate_detections
from vision.metrics.suspects import Suspect, find_suspects
from vision.structures import Target

__all__ = [
    "Analysis",
    "CalibrationBin",
    "Curve",
    "Group",
    "Mistake",
    "OperatingPoint",
    "Suspect",
    "analyse",
]

DRAWS = 200
"""Resamples of the bootstrap."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """All numbers of the report of an evaluation.

    Attributes:
        metrics: COCO's and VOC's metrics.
        intervals: The 95% bootstrap intervals over images of "voc.mAP50" and "coco.AP"; empty if no
            box counts.
        curves: The precision-recall curve of each class; None if no box of the class counts.
        thresholds: The best threshold of each class; None if no box of the class is found.
        confusion: Rows are the true classes, then background; columns are the detected classes,
            then missed. Only detections at or above the best threshold of their class are counted.
        sizes: AP and recall by the square root of the boxes' area.
        aspects: AP and recall by width / height.
        error_costs: The AP50 that each kind of error costs, in [0, 1]: the six kinds of `Mistake`,
            "false positives" and "false negatives".
        calibration: Bins of equal width over the scores [0, 1].
        calibration_error: The expected calibration error of the detections with a score of at
            least 0.1, or None without such detections. Lower scores are left out because most
            detections have them, and nearly all of those are wrong.
        mistakes: Mistakes at the best thresholds, sorted by kind, the worst of each kind first.
        suspects: Probable faults of the labels, the most suspicious first.
    """

    metrics: Metrics
    intervals: dict[str, tuple[float, float]]
    curves: list[Curve | None]
    thresholds: list[OperatingPoint | None]
    confusion: Int64[ndarray, "side side"]
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
    """Compute all numbers of the report of an evaluation.

    Args:
        detections: The detections in each image, in pixels of the image that its target refers to.
        targets: The ground truth of the same images.
        names: Distinct class names, in label order.
        metrics: The metrics of the same detections, if they are already known.

    Raises:
        ValueError: If detections and targets do not fit (`vision.metrics.inputs.check_inputs`).
    """
    if metrics is None:
        metrics = evaluate_detections(detections, targets, names)
    matching = match(detections, targets, len(names))
    found, assignment = matching.found, matching.assignment
    curves = make_curves(matching)
    points = best_thresholds(matching, curves)
    kept = found.scores >= threshold_scores(points)[found.labels]
    errors = classify_errors(matching)
    counts = ~assignment.is_left_out
    bins = calibration_bins(found.scores[counts], assignment.is_right[counts])
    is_found = matching.is_found(kept)
    values = bootstrap(detections, targets, len(names), DRAWS)[1:]
    intervals = zip(("voc.mAP50", "coco.AP"), map(interval, values.T), strict=True)
    return Analysis(
        metrics=metrics,
        intervals={name: ends for name, ends in intervals if not isnan(ends[0])},
        curves=curves,
        thresholds=points,
        confusion=confusion_matrix(matching, kept),
        sizes=by_size(matching, is_found),
        aspects=by_aspect(matching, is_found),
        error_costs=error_costs(matching, errors),
        calibration=bins,
        calibration_error=calibration_error(bins[1:]),
        mistakes=find_mistakes(matching, errors, kept),
        suspects=find_suspects(matching, errors, kept),
    )
