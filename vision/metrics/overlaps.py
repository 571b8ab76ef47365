"""Detections and ground truth of all images as flat columns, and the pairs that overlap."""

# K detections, n ground-truth boxes, p overlapping pairs of a detection and a box

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray
from torch import Tensor

import vision.boxes as box_ops
from vision.structures import Detections, Target

PAIRS_AT_ONCE = 500_000
"""Pairs whose overlap is computed at once: about 100 MB."""


@dataclass(frozen=True)
class FlatDetections:
    """Detections by descending score; equal scores in the order of the images, then as given.

    Attributes:
        images: Index of each one's image.
        labels: Class indices.
        scores: Confidences.
        boxes: ``xyxy`` in pixels.
    """

    images: Int64[ndarray, "K"]
    labels: Int64[ndarray, "K"]
    scores: Float64[ndarray, "K"]
    boxes: Float64[ndarray, "K 4"]

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def areas(self) -> Float64[ndarray, "K"]:
        """Areas in square pixels."""
        return _area(self.boxes)


@dataclass(frozen=True)
class FlatTargets:
    """Ground-truth boxes in the order of the images.

    Attributes:
        images: Index of each one's image.
        labels: Class indices.
        boxes: ``xyxy`` in pixels.
        areas: In square pixels, by which COCO divides objects (`vision.structures.Target`).
        ignored: Those that do not count. All are crowds here, as for `vision.metrics.coco_ap`: any
            number of detections of the class is left out by an ignored box, by the fraction of
            their own area inside it.
    """

    images: Int64[ndarray, "n"]
    labels: Int64[ndarray, "n"]
    boxes: Float64[ndarray, "n 4"]
    areas: Float64[ndarray, "n"]
    ignored: Bool[ndarray, "n"]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Pairs:
    """Pairs of a detection and a box of the same image that overlap.

    Attributes:
        found: Index of the detection.
        truth: Index of the box.
        overlap: IoU; with an ignored box the fraction of the detection's own area inside it.
    """

    found: Int64[ndarray, "p"]
    truth: Int64[ndarray, "p"]
    overlap: Float64[ndarray, "p"]

    def where(self, mask: Bool[ndarray, "p"]) -> "Pairs":
        """The pairs that a mask selects."""
        return Pairs(self.found[mask], self.truth[mask], self.overlap[mask])


def flatten_detections(detections: Sequence[Detections]) -> FlatDetections:
    """The detections of all images."""
    detections = [found.to("cpu") for found in detections]
    images = np.repeat(np.arange(len(detections)), [len(found) for found in detections])
    scores = _join([found.scores for found in detections], torch.float64)
    order = np.argsort(-scores, kind="stable")
    labels = _join([found.labels for found in detections], torch.int64)
    boxes = _join([found.boxes for found in detections], torch.float64).reshape(-1, 4)
    return FlatDetections(images[order], labels[order], scores[order], boxes[order])


def flatten_targets(targets: Sequence[Target]) -> FlatTargets:
    """The boxes of all images."""
    return FlatTargets(
        np.repeat(np.arange(len(targets)), [len(target) for target in targets]),
        _join([target.labels for target in targets], torch.int64),
        _join([target.boxes for target in targets], torch.float64).reshape(-1, 4),
        _join([target.areas for target in targets], torch.float64),
        _join([target.ignore | target.crowd for target in targets], torch.bool),
    )


def find_pairs(found: FlatDetections, truth: FlatTargets) -> Pairs:
    """All pairs that overlap, in the order of the detections."""
    ends = np.searchsorted(truth.images, found.images, side="right")
    counts = ends - np.searchsorted(truth.images, found.images)
    chunks = [
        _overlaps(found, truth, rows, _ranges(ends[part], counts[part]))
        for part in _parts(counts)
        for rows in [np.repeat(np.arange(part.start, part.stop), counts[part])]
    ]
    columns = zip(*((pairs.found, pairs.truth, pairs.overlap) for pairs in chunks), strict=True)
    return Pairs(*map(np.concatenate, columns))


def _parts(counts: Int64[ndarray, "K"]) -> Iterator[slice]:
    """Slices of the detections with about `PAIRS_AT_ONCE` pairs each; at least one slice."""
    total = np.cumsum(counts)
    limits = np.arange(PAIRS_AT_ONCE, counts.sum(), PAIRS_AT_ONCE)
    edges = [0, *np.searchsorted(total, limits).tolist(), len(counts)]
    return map(slice, edges[:-1], edges[1:])


def _ranges(ends: Int64[ndarray, "k"], counts: Int64[ndarray, "k"]) -> Int64[ndarray, "p"]:
    """``arange(end - count, end)`` for each end, one after the other."""
    shifts = np.repeat(ends - np.cumsum(counts), counts)
    return np.asarray(np.arange(counts.sum()) + shifts)


def _overlaps(
    found: FlatDetections,
    truth: FlatTargets,
    rows: Int64[ndarray, "q"],
    columns: Int64[ndarray, "q"],
) -> Pairs:
    """Those of the given pairs that overlap."""
    first, second = found.boxes[rows], truth.boxes[columns]
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    touching = (sides > 0).all(axis=1)
    rows, columns, common = rows[touching], columns[touching], sides[touching].prod(axis=1)
    own, other = found.areas[rows], _area(truth.boxes[columns])
    return Pairs(
        rows, columns, common / np.where(truth.ignored[columns], own, own + other - common)
    )


def _area(boxes: Float64[ndarray, "k 4"]) -> Float64[ndarray, "k"]:
    return box_ops.area(torch.from_numpy(boxes)).numpy()


def _join(parts: Sequence[Tensor], dtype: torch.dtype) -> ndarray:
    columns = [torch.zeros(0, dtype=dtype), *(part.flatten().to(dtype) for part in parts)]
    return torch.cat(columns).numpy()
