"""Calibration: whether seven of ten detections with a score of 0.7 are right."""

# K detections that are not left out

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

NUM_BINS = 10


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The detections with a score in ``[low, high)``.

    The first bin also holds negative scores, and the last one scores of 1 and more.

    Attributes:
        low: Lowest score of the bin.
        high: Highest score of the bin.
        count: Number of detections.
        mean_score: Mean score of the detections; the middle of the bin without detections.
        precision: Fraction of the detections that are right; 0 without detections.
    """

    low: float
    high: float
    count: int
    mean_score: float
    precision: float


def calibration_bins(
    scores: Float64[ndarray, "K"], is_right: Bool[ndarray, "K"]
) -> list[CalibrationBin]:
    """Sort the detections into ten score bins of equal width, for a reliability diagram."""
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
    """Compute the expected calibration error (ECE) of the bins; None without detections.

    It is the mean over the detections of ``|precision - mean score|`` of their bin (Guo et al., On
    Calibration of Modern Neural Networks, arXiv 1706.04599, equation 3). Precision takes the place
    of accuracy, as in Küppers et al., Multivariate Confidence Calibration for Object Detection,
    arXiv 2004.13546.
    """
    count = sum(bin_.count for bin_ in bins)
    if not count:
        return None
    return sum(bin_.count * abs(bin_.precision - bin_.mean_score) for bin_ in bins) / count
