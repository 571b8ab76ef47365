"""Two detectors on the same images: their differences, and whether these may be chance."""

# I images, K detections, n ground-truth boxes

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from vision.detections import Detections
from vision.errors import DataError
from vision.metrics.curves import best_thresholds, make_curves, threshold_scores
from vision.metrics.matching import Matching, match
from vision.metrics.mistakes import Box, as_box
from vision.metrics.resampling import bootstrap, interval
from vision.metrics.results import Metrics, evaluate_detections
from vision.structures import Target

DRAWS = 500
"""Resamples of the bootstrap."""


class Difference(NamedTuple):
    """A metric of both detectors, and the 95% interval of the change from first to second."""

    first: float
    second: float
    low: float
    high: float

    @property
    def change(self) -> float:
        """The second detector's value minus the first's."""
        return self.second - self.first

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


class Item(NamedTuple):
    """A detection, or a missed object, whose score is None."""

    label: int
    box: Box
    score: float | None


class Outcome(NamedTuple):
    """The right and wrong detections, by descending score, and missed objects of one image."""

    right: list[Item]
    wrong: list[Item]
    missed: list[Item]


@dataclass(frozen=True)
class Outcomes:
    """Which detections are right and which objects are missed, at the best thresholds.

    Attributes:
        matching: Detections and boxes.
        kept: Whether each detection is at or above the best threshold of its class (highest F1).
    """

    matching: Matching
    kept: Bool[ndarray, "K"]

    def wrong(self) -> Bool[ndarray, "K"]:
        """Whether each detection is kept and wrong."""
        return np.asarray(self.kept & self.matching.assignment.is_wrong)

    def missed(self) -> Bool[ndarray, "n"]:
        """Whether each box counts and is not found by a kept detection."""
        return np.asarray(~(self.matching.is_found(self.kept) | self.matching.ignored))

    def count_mistakes(self, num_images: int) -> Int64[ndarray, "I"]:
        """Count the wrong detections and missed boxes of each image."""
        found, truth = self.matching.found, self.matching.truth
        images = np.concatenate([found.images[self.wrong()], truth.images[self.missed()]])
        return np.bincount(images, minlength=num_images)

    def of_image(self, image: int) -> Outcome:
        """The outcome in one image, given by its index."""
        found, truth = self.matching.found, self.matching.truth
        right = self.kept & self.matching.assignment.is_right
        detected = [
            [
                Item(int(found.labels[k]), as_box(found.boxes[k]), float(found.scores[k]))
                for k in np.flatnonzero(mask & (found.images == image))
            ]
            for mask in (right, self.wrong())
        ]
        missed = [
            Item(int(truth.labels[k]), as_box(truth.boxes[k]), None)
            for k in np.flatnonzero(self.missed() & (truth.images == image))
        ]
        return Outcome(detected[0], detected[1], missed)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two detectors on the same images.

    Attributes:
        metrics: The metrics of each detector.
        differences: The differences in "voc.mAP50" and "coco.AP".
        outcomes: The outcomes of each detector.
    """

    metrics: tuple[Metrics, Metrics]
    differences: dict[str, Difference]
    outcomes: tuple[Outcomes, Outcomes]

    def count_mistakes(self) -> Int64[ndarray, "2 I"]:
        """Count the mistakes of each detector in each image; see `Outcomes.count_mistakes`."""
        num_images = self.metrics[0].num_images
        return np.stack([outcomes.count_mistakes(num_images) for outcomes in self.outcomes])

    def changed_images(self) -> list[int]:
        """Images whose number of mistakes differs, by descending absolute difference."""
        first, second = self.count_mistakes()
        change = np.abs(second - first)
        order = np.argsort(-change, kind="stable")
        changed: list[int] = order[: np.count_nonzero(change)].tolist()
        return changed


def compare_detections(
    first: Sequence[Detections],
    second: Sequence[Detections],
    targets: Sequence[Target],
    names: Sequence[str],
    draws: int = DRAWS,
) -> Comparison:
    """Compare two detectors, A and B, by their detections in the same images.

    The intervals come from a paired bootstrap (`vision.metrics.bootstrap`).

    Args:
        first: The detections of A in each image, in pixels of the image that its target refers to.
        second: The detections of B in each image.
        targets: The ground truth of the same images.
        names: Distinct class names, in label order.
        draws: Number of resamples.

    Raises:
        DataError: If no box counts.
        ValueError: If detections and targets do not fit (`vision.metrics.inputs.check_inputs`).
    """
    metrics = tuple(evaluate_detections(found, targets, names) for found in (first, second))
    if not sum(metrics[0].voc.num_boxes):
        raise DataError(
            "the images have no boxes to compare on, except difficult ones and crowds; name images"
            f" with boxes of {', '.join(names)}"
        )
    values = [bootstrap(found, targets, len(names), draws) for found in (first, second)]
    changes = values[1] - values[0]
    differences = {
        name: Difference(
            float(values[0][0, column]),
            float(values[1][0, column]),
            *interval(changes[1:, column]),
        )
        for column, name in enumerate(("voc.mAP50", "coco.AP"))
    }
    outcomes = tuple(_outcomes(found, targets, len(names)) for found in (first, second))
    return Comparison((metrics[0], metrics[1]), differences, (outcomes[0], outcomes[1]))


def _outcomes(
    detections: Sequence[Detections], targets: Sequence[Target], num_classes: int
) -> Outcomes:
    matching = match(detections, targets, num_classes)
    points = best_thresholds(matching, make_curves(matching))
    kept = matching.found.scores >= threshold_scores(points)[matching.found.labels]
    return Outcomes(matching, kept)
