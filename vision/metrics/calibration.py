"""Whether a score of 0.7 means that seven of ten detections are right."""

# K detections that count

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

NUM_BINS = 10


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The detections with a score in ``[low, high)``; scores beyond [0, 1] are in the end bins.

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


def calibration_bins(
    scores: Float64[ndarray, "K"], is_right: Bool[ndarray, "K"]
) -> list[CalibrationBin]:
    """Ten bins of equal width, for a reliability diagram."""
    bins = (scores * NUM_BINS).clip(0, NUM_BINS - 1).astype(np.int64)
    counts = np.bincount(bins, minlength=NUM_BINS)
    totals, rights = (
        np.bincount(bins, weights, minlength=NUM_BINS) for weights in (scores, is_right)
    )
    return [
        CalibrationBin(
            index / NUM_BINS,
            (index + 1) / NUM_BINS,
            int(counts[index]),
            float(totals[index] / counts[index]) if counts[index] else (index + 0.5) / NUM_BINS,
            float(rights[index] / max(counts[index], 1)),
        )
        for index in range(NUM_BINS)
    ]


def calibration_error(bins: list[CalibrationBin]) -> float | None:
    """The expected calibration error of the detections in the bins; None without detections.

    It is the mean over the detections of ``|precision - mean score|`` of their bin (ECE: Guo et
    al., On Calibration of Modern Neural Networks, arXiv 1706.04599, equation 3; with precision as
    its accuracy, as for detectors: Küppers et al., Multivariate Confidence Calibration for Object
    Detection, arXiv 2004.13546).
    """
    count = sum(one.count for one in bins)
    if not count:
        return None
    return sum(one.count * abs(one.precision - one.mean_score) for one in bins) / count
