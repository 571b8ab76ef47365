"""The uncertainty of metrics measured on few images: the bootstrap."""

# D sets of images: all of them, then each resample. n images of one set

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from vision.metrics.coco import has_objects, make_evaluation, mean_precision
from vision.metrics.inputs import check_inputs
from vision.metrics.voc import average_precision, mean_defined
from vision.metrics.voc_matching import match_detections
from vision.structures import Detections, Target

Measure = Callable[[Int64[ndarray, "n"]], float | None]
"""A metric of the images with these indices, which may repeat; None where they have no object."""


def bootstrap(
    detections: Sequence[Detections], targets: Sequence[Target], num_classes: int, draws: int
) -> Float64[ndarray, "D 2"]:
    """voc.mAP50 and coco.AP of all images, then of each resample of as many with replacement.

    The resamples of a number of images are the same in every call, so that the rows of two
    detectors on the same images can be subtracted from each other (the paired bootstrap; Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6 and 13).

    Args:
        detections: Of each image, in pixels of the image that its target refers to.
        targets: The ground truth of the same images.
        num_classes: Labels are 0 to ``num_classes - 1``.
        draws: Number of resamples: 200 are enough for a standard error, 1000 are better for an
            interval.

    Returns:
        The two metrics, in [0, 1]; NaN where the images of a resample have no object.

    Raises:
        ValueError: If detections and targets do not fit (`check_inputs`).
    """
    check_inputs(detections, targets, num_classes)
    if not has_objects(targets):
        return np.full((1 + draws, 2), np.nan)
    measures = [make(detections, targets, num_classes) for make in (_voc_measure, _coco_measure)]
    random = np.random.default_rng(0)
    count = len(targets)
    choices = [np.arange(count), *(random.integers(0, count, count) for _ in range(draws))]
    values = [[measure(indices) for measure in measures] for indices in choices]
    return np.array(values, dtype=np.float64)


def interval(values: Float64[ndarray, "draws"], level: float = 0.95) -> tuple[float, float]:
    """The percentile confidence interval (Efron and Tibshirani, chapter 13).

    Args:
        values: A metric of each resample, or its difference between two detectors; NaN is skipped.
        level: Fraction of the resamples inside the interval, in (0, 1).

    Returns:
        Lower and upper end; both NaN if all values are.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return np.nan, np.nan
    low, high = np.quantile(known, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


# Whether a detection is right depends on its own image alone, so the two functions below match
# detections once, and each resample repeats only the sorting and the sums.


def _voc_measure(
    detections: Sequence[Detections], targets: Sequence[Target], num_classes: int
) -> Measure:
    """``VocResult.mean`` of `vision.metrics.voc.voc_ap`."""
    images = [
        match_detections([found], [target], num_classes)
        for found, target in zip(detections, targets, strict=True)
    ]

    def measure(indices: Int64[ndarray, "n"]) -> float | None:
        columns = zip(*(images[index] for index in indices), strict=True)
        *parts, counts = columns
        scores, labels, is_true_positive = map(np.concatenate, parts)
        order = np.lexsort((-scores, labels))
        ends = np.searchsorted(labels[order], np.arange(1, num_classes))
        num_boxes = np.sum(counts, axis=0).tolist()
        pairs = zip(np.split(is_true_positive[order], ends), num_boxes, strict=True)
        return mean_defined(
            [average_precision(part, boxes)[0] if boxes else None for part, boxes in pairs]
        )

    return measure


def _coco_measure(
    detections: Sequence[Detections], targets: Sequence[Target], num_classes: int
) -> Measure:
    """``CocoResult.AP`` of `vision.metrics.coco.coco_ap`."""
    evaluation = make_evaluation(detections, targets, num_classes, separate_eval=True)
    evaluation.params.areaRng = evaluation.params.areaRng[:1]  # all areas
    evaluation.params.maxDets = evaluation.params.maxDets[-1:]  # 100 detections
    evaluation.evaluate()
    matches = np.array(evaluation._evalImgs_cpp, dtype=object)  # noqa: SLF001
    matches = matches.reshape(num_classes, len(targets))

    def measure(indices: Int64[ndarray, "n"]) -> float | None:
        evaluation._evalImgs_cpp = matches[:, indices].ravel().tolist()  # noqa: SLF001
        evaluation.accumulate()
        return mean_precision(evaluation.eval["precision"])

    return measure
