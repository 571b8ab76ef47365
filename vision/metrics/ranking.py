"""Ranked detections of each class, whether they are right, and their precision over recall."""

# K detections, n boxes, T IoU thresholds, C classes, I images, k true positives of one class

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray


@dataclass(frozen=True, slots=True)
class Matches:
    """Detections, sorted by class, then by descending score, and the boxes that count.

    Whether a detection is right depends only on its own image. The metrics of any resample of the
    images can therefore be computed from the same matches, given how often each image occurs.

    Attributes:
        images: Index of the image of each detection.
        labels: Class index of each detection.
        is_true_positive: Whether each detection finds a box that counts, at each IoU threshold.
        is_counted: Whether each detection is a true or false positive rather than left out.
        box_images: Index of the image of each box that counts.
        box_labels: Class index of each box that counts.
        num_classes: Labels are 0 to ``num_classes - 1``.
    """

    images: Int64[ndarray, "K"]
    labels: Int64[ndarray, "K"]
    is_true_positive: Bool[ndarray, "T K"]
    is_counted: Bool[ndarray, "T K"]
    box_images: Int64[ndarray, "n"]
    box_labels: Int64[ndarray, "n"]
    num_classes: int

    def num_boxes(self, times: Int64[ndarray, "I"] | None = None) -> list[int]:
        """Count the boxes of each class, with images repeated as often as ``times`` says."""
        weights = None if times is None else times[self.box_images]
        counts = np.bincount(self.box_labels, weights, minlength=self.num_classes)
        return [int(count) for count in counts]

    def envelopes(
        self, threshold: int, times: Int64[ndarray, "I"] | None = None
    ) -> Iterator[tuple[Int64[ndarray, "k"], Float64[ndarray, "k"]]]:
        """Yield the precision envelope of each class, at its true positives.

        The envelope is the highest precision from a detection on. It is needed only at true
        positives, because at false positives the precision falls and the recall does not change.

        Args:
            threshold: Index of the IoU threshold.
            times: How often each image occurs; once by default.

        Yields:
            For each class, the number of true positives up to each one, and the envelope there.
        """
        weights = np.ones(len(self.labels), np.int64) if times is None else times[self.images]
        counted_before = np.append(0, np.cumsum(weights * self.is_counted[threshold]))
        hits = np.flatnonzero(weights * self.is_true_positive[threshold])
        begins = np.searchsorted(self.labels, np.arange(self.num_classes))
        parts = np.split(hits, np.searchsorted(hits, begins[1:]))[: self.num_classes]
        for begin, part in zip(begins, parts, strict=True):
            num_hits = np.cumsum(weights[part])
            precision = num_hits / (counted_before[part + 1] - counted_before[begin])
            yield num_hits, np.maximum.accumulate(precision[::-1])[::-1]
