"""Average precision and recall of the boxes of one size or one aspect ratio."""

# K detections, n ground-truth boxes, k detections or boxes

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from vision.metrics.curves import mean_precision
from vision.metrics.matching import Matching

SIZE_EDGES = {
    "small, up to 16 px": 16.0,
    "small, 16 to 32 px": 32.0,
    "medium, 32 to 64 px": 64.0,
    "medium, 64 to 96 px": 96.0,
    "large, 96 to 192 px": 192.0,
    "large, over 192 px": np.inf,
}
"""Upper ends of the ranges of the square root of the area: COCO's three ranges, each halved."""
ASPECT_EDGES = {
    "very tall, under 1:3": 1 / 3,
    "tall, 1:3 to 2:3": 2 / 3,
    "about square, 2:3 to 3:2": 3 / 2,
    "wide, 3:2 to 3:1": 3.0,
    "very wide, over 3:1": np.inf,
}
"""Upper ends of the ranges of width / height."""


class Group(NamedTuple):
    """The boxes of one range of size or of aspect ratio.

    Attributes:
        name: The range in words.
        num_boxes: Number of boxes in the range that count.
        ap50: Average precision at the IoU threshold 0.5, as the mean over the classes that have
            boxes in the range; None without such boxes.
        recall: Fraction of the boxes in the range that are found at the best threshold of their
            class; None without boxes.
    """

    name: str
    num_boxes: int
    ap50: float | None
    recall: float | None


def by_size(matching: Matching, is_found: Bool[ndarray, "n"]) -> list[Group]:
    """Group the boxes by the square root of their area; see `make_groups`."""
    sizes = np.sqrt(matching.found.boxes[:, 2:].prod(axis=1)), np.sqrt(matching.truth.areas)
    return make_groups(matching, SIZE_EDGES, sizes, is_found)


def by_aspect(matching: Matching, is_found: Bool[ndarray, "n"]) -> list[Group]:
    """Group the boxes by width / height; see `make_groups`."""
    aspects = _aspects(matching.found.boxes), _aspects(matching.truth.boxes)
    return make_groups(matching, ASPECT_EDGES, aspects, is_found)


def make_groups(
    matching: Matching,
    edges: dict[str, float],
    values: tuple[Float64[ndarray, "K"], Float64[ndarray, "n"]],
    is_found: Bool[ndarray, "n"],
) -> list[Group]:
    """Group the boxes, and evaluate each group as COCO does small, medium and large objects.

    Boxes outside a group's range are ignored, and so are detections outside it that find no box.
    A range includes its lower end.

    Args:
        matching: Detections and boxes.
        edges: Name and upper end of each range, ascending.
        values: The value of each detection and of each box that decides its range.
        is_found: Whether each box is found at the best threshold of its class.
    """
    found, is_same = matching.found, matching.is_same_class()
    found_groups, truth_groups = (_ranges(edges, part) for part in values)
    groups = []
    for index, name in enumerate(edges):
        is_inside = (truth_groups == index) & ~matching.ignored
        result = matching.assign(is_same, ~is_inside)
        counts = result.is_right | (result.is_wrong & (found_groups == index))
        num_boxes = matching.count_boxes(is_inside)
        ap50 = mean_precision(
            found.labels[counts], result.is_right[counts], num_boxes, num_boxes > 0
        )
        recall = float(is_found[is_inside].mean()) if is_inside.any() else None
        groups.append(Group(name, int(is_inside.sum()), ap50, recall))
    return groups


def size_groups(areas: Float64[ndarray, "k"]) -> Int64[ndarray, "k"]:
    """Index into `SIZE_EDGES` of the range of each box, from its area in square pixels."""
    return _ranges(SIZE_EDGES, np.sqrt(areas))


def _ranges(edges: dict[str, float], values: Float64[ndarray, "k"]) -> Int64[ndarray, "k"]:
    """Index of the range of each value."""
    return np.searchsorted(list(edges.values()), values, side="right")


def _aspects(boxes: Float64[ndarray, "k 4"]) -> Float64[ndarray, "k"]:
    """Width / height of each box; a box of height 0 counts as very wide."""
    width, height = boxes[:, 2:].T
    return np.asarray(width / np.maximum(height, np.finfo(np.float32).tiny))
