"""Label suspects: where the labels of a data set are probably wrong."""

# K detections, n ground-truth boxes, p overlapping pairs

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from vision.metrics.errors import CLASSIFICATION, Errors
from vision.metrics.groups import SIZE_EDGES, size_groups
from vision.metrics.matching import NONE, Matching, RankedDetections
from vision.metrics.mistakes import Box, as_box
from vision.metrics.tables import TargetTable

MIN_SUSPICION = 0.5
"""The least suspicion of a suspect; a detection that contradicts labels has its score as one."""
EMPTY_IOU = 0.3
"""A detection whose overlap with all boxes is below this may be on an object without a box."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A probable fault of the labels.

    Attributes:
        kind: "missing box" (a confident detection on no box), "other class" (a confident detection
            of another class on a box that no detection of its own class finds), or "unfound box"
            (no detection at any score finds the box or comes close).
        image: Index of the image.
        box: Box of the detection, or the box that is not found.
        label: Class of the detection, or of the box that is not found.
        score: Score of the detection; None for "unfound box".
        true_label: Class of the box in the ground truth; None for "missing box".
    """

    kind: str
    image: int
    box: Box
    label: int
    score: float | None
    true_label: int | None


def find_suspects(matching: Matching, errors: Errors, kept: Bool[ndarray, "K"]) -> list[Suspect]:
    """Find labels that confident detections contradict, and boxes that no detection finds.

    The kinds are the overlooked, swapped and badly located boxes of ObjectLab (Tkachenko et al.,
    arXiv 2309.00832). They are sorted by suspicion, an estimate of the probability that the
    detector is right. For a detection it is its score. For a box that is not found it is ``1 -
    IoU`` with the closest detection, times the fraction of the boxes in its range of size that are
    found at any score. Suspicions below `MIN_SUSPICION` are left out.

    Args:
        matching: Detections and boxes.
        errors: The errors of the detections.
        kept: Whether each detection is at or above its threshold. A box that such a detection of
            its class finds is not an "other class" suspect.

    Returns:
        The suspects, the most suspicious first.
    """
    found, truth, pairs = matching.found, matching.truth, matching.pairs
    is_confident = matching.assignment.is_wrong & (found.scores >= MIN_SUSPICION)
    is_empty = _highest(pairs.found, pairs.overlap, len(found)) < EMPTY_IOU
    is_open = np.append(~matching.is_found(kept), False)[errors.boxes]
    is_swapped = is_confident & (errors.kinds == CLASSIFICATION) & is_open
    unfound = _unfound_suspicion(matching)
    unfound[errors.boxes[is_swapped]] = 0.0

    scores, true_labels = found.scores, np.append(truth.labels, NONE)[errors.boxes]
    rated = [
        *(
            (scores[row], _contradicted("missing box", found, row, None))
            for row in np.flatnonzero(is_confident & is_empty).tolist()
        ),
        *(
            (scores[row], _contradicted("other class", found, row, int(true_labels[row])))
            for row in np.flatnonzero(is_swapped).tolist()
        ),
        *(
            (unfound[row], _unfound_box(truth, row))
            for row in np.flatnonzero(unfound >= MIN_SUSPICION).tolist()
        ),
    ]
    return [suspect for _, suspect in sorted(rated, key=lambda pair: -pair[0])]


def _contradicted(kind: str, found: RankedDetections, row: int, true_label: int | None) -> Suspect:
    """The suspect that a confident detection reveals."""
    image, label, score = int(found.images[row]), int(found.labels[row]), float(found.scores[row])
    return Suspect(kind, image, as_box(found.boxes[row]), label, score, true_label)


def _unfound_box(truth: TargetTable, row: int) -> Suspect:
    image, label = int(truth.images[row]), int(truth.labels[row])
    return Suspect("unfound box", image, as_box(truth.boxes[row]), label, None, label)


def _unfound_suspicion(matching: Matching) -> Float64[ndarray, "n"]:
    """Suspicion of each box that is not found at any score; 0 for found and ignored boxes."""
    truth, pairs, is_found = matching.truth, matching.pairs, matching.is_found()
    counts, sizes = ~matching.ignored, size_groups(truth.areas)
    in_size, found_in_size = (
        np.bincount(sizes[rows], minlength=len(SIZE_EDGES)) for rows in (counts, is_found)
    )
    recall = found_in_size / np.maximum(in_size, 1)
    closest = _highest(pairs.truth, pairs.overlap, len(matching.ignored))
    return np.where(counts & ~is_found, recall[sizes] * (1 - closest), 0.0)


def _highest(
    rows: Int64[ndarray, "p"], overlaps: Float64[ndarray, "p"], count: int
) -> Float64[ndarray, "count"]:
    """The highest overlap of each detection or box, by its index in ``rows``; 0 without pairs."""
    highest = np.zeros(count)
    np.maximum.at(highest, rows, overlaps)
    return highest
