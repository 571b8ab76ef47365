"""The uncertainty of metrics measured on few images: the bootstrap."""

# D sets of images: all images, then each resample; I images

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from vision.detections import Detections
from vision.metrics.coco import average_precisions, nan_mean
from vision.metrics.coco_matching import match_by_coco
from vision.metrics.ranking import Matches
from vision.metrics.voc import average_precision, mean_defined
from vision.metrics.voc_matching import match_by_voc
from vision.progress import progress
from vision.structures import Target


def bootstrap(
    detections: Sequence[Detections], targets: Sequence[Target], num_classes: int, draws: int
) -> Float64[ndarray, "D 2"]:
    """Compute voc.mAP50 and coco.AP on all images, then on resamples of them.

    A resample has as many images as there are, drawn with replacement. For a given number of images
    the resamples are the same in every call, so that the rows of two detectors on the same images
    can be subtracted from each other (paired bootstrap; Efron and Tibshirani, An Introduction to
    the Bootstrap, 1993, chapters 6 and 13).

    Args:
        detections: The detections in each image, in pixels of the image that its target refers to.
        targets: The ground truth of the same images.
        num_classes: Labels are 0 to ``num_classes - 1``.
        draws: Number of resamples: 200 are enough for a standard error, 1000 are better for an
            interval.

    Returns:
        The two metrics, in [0, 1], in the columns; NaN for a resample without objects.

    Raises:
        ValueError: If detections and targets do not fit (`check_inputs`).
    """
    voc = match_by_voc(detections, targets, num_classes)
    [(coco, _)] = match_by_coco(detections, targets, num_classes, ("all",))
    count, random = len(targets), np.random.default_rng(0)
    choices = [np.arange(count), *(random.integers(0, count, count) for _ in range(draws))]
    values = []
    for chosen in progress(choices, "bootstrap"):
        times = np.bincount(chosen, minlength=count)
        values.append([_voc_mean(voc, times), nan_mean(average_precisions(coco, times))])
    return np.array(values, dtype=np.float64)


def interval(values: Float64[ndarray, "draws"]) -> tuple[float, float]:
    """Compute the 95% percentile confidence interval (Efron and Tibshirani, chapter 13).

    Args:
        values: A metric on each resample, or its difference between two detectors; NaN is skipped.

    Returns:
        Lower and upper end; both are NaN if all values are NaN.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return np.nan, np.nan
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)


def _voc_mean(matches: Matches, times: Int64[ndarray, "I"]) -> float | None:
    """``VocResult.mean`` on a resample in which each image occurs ``times`` times."""
    pairs = zip(matches.envelopes(0, times), matches.num_boxes(times), strict=True)
    areas = [average_precision(*envelope, boxes) for envelope, boxes in pairs if boxes]
    return mean_defined(areas)
