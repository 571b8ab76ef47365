"""The overlapping pairs of a detection and a ground-truth box of its class and image."""

# K detections, n ground-truth boxes, p pairs, q selected pairs

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from vision.metrics.tables import DetectionTable, TargetTable

PAIRS_AT_ONCE = 500_000
"""Number of pairs whose overlaps are computed at once: about 100 MB."""


class Pairs(NamedTuple):
    """Pairs of a detection and a box, sorted by detection, then by box.

    Attributes:
        found: Index of the detection.
        truth: Index of the box.
        overlap: IoU, or for a crowd the fraction of the detection's area that is inside it.
    """

    found: Int64[ndarray, "p"]
    truth: Int64[ndarray, "p"]
    overlap: Float64[ndarray, "p"]

    def select(self, index: Bool[ndarray, "p"] | Int64[ndarray, "q"]) -> "Pairs":
        """Select pairs by a mask, or by indices, in the order of the indices."""
        return Pairs(*(column[index] for column in self))


def find_pairs(
    found: DetectionTable,
    rows: Int64[ndarray, "K"],
    truth: TargetTable,
    is_crowd: Bool[ndarray, "n"],
    threshold: float,
) -> Pairs:
    """Find the pairs of the same image and class with an overlap of at least ``threshold``.

    Args:
        found: All detections.
        rows: Indices of the detections to pair; ``Pairs.found`` are positions in ``rows``.
        truth: All boxes.
        is_crowd: Whether each box surrounds a group of objects.
        threshold: The least overlap, in (0, 1].
    """
    num_labels = 1 + max(found.labels.max(initial=0), truth.labels.max(initial=0))
    keys = truth.images * num_labels + truth.labels
    order = np.argsort(keys, kind="stable")
    own_keys = found.images[rows] * num_labels + found.labels[rows]
    begins = np.searchsorted(keys[order], own_keys)
    counts = np.searchsorted(keys[order], own_keys, side="right") - begins
    parts = [Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for part in _parts(counts):
        lengths = counts[part]
        first = np.repeat(begins[part] - (np.cumsum(lengths) - lengths), lengths)
        boxes = order[first + np.arange(len(first))]
        numbers = np.repeat(np.arange(part.start, part.stop), lengths)
        overlaps = _overlaps(found.boxes[rows[numbers]], truth.boxes[boxes], is_crowd[boxes])
        parts.append(Pairs(numbers, boxes, overlaps).select(overlaps >= threshold))
    return Pairs(*map(np.concatenate, zip(*parts, strict=True)))


def _parts(counts: Int64[ndarray, "K"]) -> Iterator[slice]:
    """Split the detections into slices with about `PAIRS_AT_ONCE` pairs each."""
    total = np.cumsum(counts)
    limits = np.arange(PAIRS_AT_ONCE, counts.sum(), PAIRS_AT_ONCE)
    edges = [0, *np.searchsorted(total, limits).tolist(), len(counts)]
    return map(slice, edges[:-1], edges[1:])


def _overlaps(
    boxes: Float64[ndarray, "q 4"], others: Float64[ndarray, "q 4"], is_crowd: Bool[ndarray, "q"]
) -> Float64[ndarray, "q"]:
    """Overlaps of ``xywh`` boxes, computed as in pycocotools, so that results are identical."""
    low = np.maximum(boxes[:, :2], others[:, :2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], others[:, :2] + others[:, 2:])
    sides = (high - low).clip(min=0)
    common = sides[:, 0] * sides[:, 1]
    own = boxes[:, 2] * boxes[:, 3]
    union = np.where(is_crowd, own, own + others[:, 2] * others[:, 3] - common)
    overlaps = np.zeros(len(common))
    np.divide(common, union, out=overlaps, where=common > 0)
    return overlaps
