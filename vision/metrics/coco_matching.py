"""Assignment of detections to boxes by COCO's rules."""

# K detections, n ground-truth boxes

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from vision.detections import Detections
from vision.metrics.inputs import check_inputs
from vision.metrics.pairs import Pairs, find_pairs
from vision.metrics.ranking import Matches
from vision.metrics.tables import DetectionTable
from vision.structures import Target

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
MAX_DETECTIONS = 100
"""Maximum number of detections of each class and image: those with the highest scores."""
AREAS = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""COCO's ranges of area in square pixels, both ends included."""


def match_by_coco(
    detections: Sequence[Detections],
    targets: Sequence[Target],
    num_classes: int,
    areas: Sequence[str] = tuple(AREAS),
) -> Iterator[tuple[Matches, Int64[ndarray, "K"]]]:
    """Match detections with boxes at each of the `IOU_THRESHOLDS`, once for each range of area.

    The ranges are those of `AREAS` that ``areas`` names. For each one, the matches are yielded with
    the rank of each detection by score within its class and image, from 0.

    Raises:
        ValueError: If detections and targets do not fit (`check_inputs`).
    """
    found, truth = check_inputs(detections, targets, num_classes)
    rows, ranks = _rank(found, num_classes)
    found_areas = found.boxes[rows, 2] * found.boxes[rows, 3]
    is_crowd = truth.ignore | truth.crowd
    pairs = find_pairs(found, rows, truth, is_crowd, IOU_THRESHOLDS[0])
    for low, high in (AREAS[name] for name in areas):
        is_ignored = is_crowd | (truth.areas < low) | (truth.areas > high)
        # A detection prefers boxes that count, then the largest overlap, then the last box.
        preference = (-pairs.truth, -pairs.overlap, is_ignored[pairs.truth])
        ordered = pairs.select(np.lexsort((*preference, pairs.found)))
        is_inside = (found_areas >= low) & (found_areas <= high)
        is_counted = np.tile(is_inside, (len(IOU_THRESHOLDS), 1))
        is_true_positive = np.zeros_like(is_counted)
        for number, threshold in enumerate(IOU_THRESHOLDS):
            assigned = assign(ordered.select(ordered.overlap >= threshold), is_crowd)
            is_right = ~is_ignored[assigned.truth]
            is_true_positive[number, assigned.found] = is_right
            is_counted[number, assigned.found] = is_right
        matches = Matches(
            found.images[rows],
            found.labels[rows],
            is_true_positive,
            is_counted,
            truth.images[~is_ignored],
            truth.labels[~is_ignored],
            num_classes,
        )
        yield matches, ranks


def _rank(
    found: DetectionTable, num_classes: int
) -> tuple[Int64[ndarray, "K"], Int64[ndarray, "K"]]:
    """Rows of the best `MAX_DETECTIONS` in the order of `Matches`, and their ranks by score."""
    groups = found.images * num_classes + found.labels
    order = np.lexsort((-found.scores, groups))
    positions, is_first = np.arange(len(order)), np.diff(groups[order], prepend=-1) > 0
    ranks = positions - np.maximum.accumulate(np.where(is_first, positions, 0))
    rows, ranks = order[ranks < MAX_DETECTIONS], ranks[ranks < MAX_DETECTIONS]
    by_class = np.lexsort((-found.scores[rows], found.labels[rows]))
    return rows[by_class], ranks[by_class]


def assign(pairs: Pairs, is_crowd: Bool[ndarray, "n"]) -> Pairs:
    """Select for each detection its first pair whose box is still free, if there is one.

    The pairs must be sorted by detection, then by preference. A crowd is always free.
    """
    is_taken, is_alone = [False] * len(is_crowd), (~is_crowd).tolist()
    assigned, last = [], -1
    columns = zip(pairs.found.tolist(), pairs.truth.tolist(), strict=True)
    for index, (found, box) in enumerate(columns):
        if found != last and not is_taken[box]:
            last, is_taken[box] = found, is_alone[box]
            assigned.append(index)
    return pairs.select(np.array(assigned, np.int64))
