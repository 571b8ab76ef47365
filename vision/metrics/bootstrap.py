"""How far metrics of a few images may be off: the bootstrap."""

# D sets of images: all of them, then each draw. K detections, all of which count

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from faster_coco_eval import COCOeval_faster
from jaxtyping import Bool, Float32, Float64, Int64
from numpy import ndarray

from vision.metrics.coco import (
    UNDEFINED,
    _defined,
    _found_records,
    _index,
    _say_nothing,
    _truth_records,
)
from vision.metrics.inputs import check_inputs
from vision.metrics.voc import _average_precision, _judge, _mean, _Overlaps, _overlaps
from vision.structures import Detections, Target

__all__ = ["bootstrap", "interval"]

Measure = Callable[[Int64[ndarray, "n"]], float | None]
"""A metric of the images with these indices, which may repeat; None where there is no box."""


class _Judged(NamedTuple):
    """The detections of one image that count, and what there was to find."""

    scores: Float32[ndarray, "K"]
    labels: Int64[ndarray, "K"]
    right: Bool[ndarray, "K"]
    num_boxes: Int64[ndarray, "C"]


def bootstrap(
    found: Sequence[Detections], targets: Sequence[Target], num_classes: int, draws: int
) -> Float64[ndarray, "D 2"]:
    """voc.mAP50 and coco.AP of all images, then of each draw of as many, with replacement.

    The draws of the same number of images are the same in every call, so that the rows of two
    detectors on the same images can be subtracted from each other (the paired bootstrap). After
    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 6 and 13.

    Args:
        found: Detections of each image, in pixels of the image that its target refers to.
        targets: The truth of the same images.
        num_classes: Labels are 0 to ``num_classes - 1``.
        draws: How many; 200 are enough for a standard error, an interval is better with 1000.

    Returns:
        The two metrics, in [0, 1]; NaN where the images drawn have no box to find.

    Raises:
        ValueError: If the two do not fit (`check_inputs`).
    """
    check_inputs(found, targets, num_classes)
    if all(bool((target.ignore | target.crowd).all()) for target in targets):
        return np.full((1 + draws, 2), np.nan)
    measures = _voc_measure(found, targets, num_classes), _coco_measure(found, targets, num_classes)
    random = np.random.default_rng(0)
    count = len(targets)
    choices = [np.arange(count), *(random.integers(0, count, count) for _ in range(draws))]
    values = [[measure(rows) for measure in measures] for rows in choices]
    return np.array(values, dtype=np.float64)


def interval(values: Float64[ndarray, "draws"], level: float = 0.95) -> tuple[float, float]:
    """The middle of the draws: Efron and Tibshirani's percentile interval (chapter 13).

    Args:
        values: A metric of each draw, or its difference between two detectors. NaN does not count.
        level: Share of the draws inside the interval, in (0, 1).

    Returns:
        Lower and upper end; both NaN if all values are.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return np.nan, np.nan
    low, high = np.quantile(known, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


# A detection is judged by its own image alone: once, and not in each draw that has the image.


def _voc_measure(
    found: Sequence[Detections], targets: Sequence[Target], num_classes: int
) -> Measure:
    """What `voc_ap` has as ``mean``."""
    images = [
        _judged(one.to("cpu"), target, num_classes)
        for one, target in zip(found, targets, strict=True)
    ]

    def measure(rows: Int64[ndarray, "n"]) -> float | None:
        drawn = [images[row] for row in rows]
        scores, labels, right = (np.concatenate([one[k] for one in drawn]) for k in range(3))
        order = np.lexsort((-scores, labels))
        ends = np.searchsorted(labels[order], np.arange(1, num_classes))
        num_boxes = np.sum([one.num_boxes for one in drawn], axis=0).tolist()
        pairs = zip(np.split(right[order], ends), num_boxes, strict=True)
        return _mean([_average_precision(one, boxes)[0] if boxes else None for one, boxes in pairs])

    return measure


def _judged(found: Detections, target: Target, num_classes: int) -> _Judged:
    scores, labels = found.scores.numpy(), found.labels.numpy()
    order = np.lexsort((-scores, labels))
    ignore = (target.ignore | target.crowd).numpy()
    overlaps = _Overlaps(*(column[order] for column in _overlaps([found], [target])))
    right, counted = _judge(overlaps, ignore, 0.5)
    kept = order[counted]
    num_boxes = np.bincount(target.labels.numpy()[~ignore], minlength=num_classes)
    return _Judged(scores[kept], labels[kept], right[counted], num_boxes)


def _coco_measure(
    found: Sequence[Detections], targets: Sequence[Target], num_classes: int
) -> Measure:
    """What `coco_ap` has as ``AP``."""
    sizes = (len(targets), num_classes)
    indices = _index(_truth_records(targets), *sizes), _index(_found_records(found), *sizes)
    evaluation = COCOeval_faster(*indices, "bbox", print_function=_say_nothing, separate_eval=True)
    evaluation.params.areaRng = evaluation.params.areaRng[:1]  # all areas
    evaluation.params.maxDets = evaluation.params.maxDets[-1:]  # 100 detections
    evaluation.evaluate()
    judged = np.array(evaluation._evalImgs_cpp, dtype=object)  # noqa: SLF001
    judged = judged.reshape(num_classes, len(targets))

    def measure(rows: Int64[ndarray, "n"]) -> float | None:
        evaluation._evalImgs_cpp = judged[:, rows].ravel().tolist()  # noqa: SLF001
        evaluation.accumulate()
        precision = evaluation.eval["precision"]
        defined = precision[precision != UNDEFINED]
        return _defined(defined.mean()) if len(defined) else None

    return measure
