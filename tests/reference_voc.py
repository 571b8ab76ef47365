"""PASCAL VOC's average precision, one step at a time, as its development kit computes it.

Slow and plain on purpose: a reference for tests. Corners are inclusive pixels, so that a box
from xmin to xmax is xmax - xmin + 1 wide.
"""

from typing import NamedTuple

Corners = tuple[float, float, float, float]


class Found(NamedTuple):
    """A detection of the class in question."""

    image: int
    score: float
    corners: Corners


class Truth(NamedTuple):
    """An object of the class in question."""

    image: int
    corners: Corners
    difficult: bool


def inclusive_iou(first: Corners, second: Corners) -> float:
    """Intersection over union of boxes with inclusive corners."""
    width = min(first[2], second[2]) - max(first[0], second[0]) + 1
    height = min(first[3], second[3]) - max(first[1], second[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    first_area = (first[2] - first[0] + 1) * (first[3] - first[1] + 1)
    second_area = (second[2] - second[0] + 1) * (second[3] - second[1] + 1)
    return width * height / (first_area + second_area - width * height)


def precision_recall(
    found: list[Found], truth: list[Truth], threshold: float
) -> tuple[list[float], list[float]]:
    """Precision and recall after each detection that counts, by falling score."""
    num_objects = sum(not one.difficult for one in truth)
    taken: set[int] = set()
    right = wrong = 0
    precision: list[float] = []
    recall: list[float] = []
    for one in sorted(found, key=lambda one: -one.score):
        best, best_index = -1.0, -1
        for index, candidate in enumerate(truth):
            if candidate.image != one.image:
                continue
            overlap = inclusive_iou(one.corners, candidate.corners)
            if overlap > best:
                best, best_index = overlap, index
        if best >= threshold and truth[best_index].difficult:
            continue
        if best >= threshold and best_index not in taken:
            taken.add(best_index)
            right += 1
        else:
            wrong += 1
        precision.append(right / (right + wrong))
        recall.append(right / num_objects)
    return precision, recall


def area_under_envelope(precision: list[float], recall: list[float]) -> float:
    """The measure of VOC 2010 and later."""
    heights = [0.0, *precision, 0.0]
    steps = [0.0, *recall, 1.0]
    for index in range(len(heights) - 2, -1, -1):
        heights[index] = max(heights[index], heights[index + 1])
    area = 0.0
    for index in range(1, len(steps)):
        area += (steps[index] - steps[index - 1]) * heights[index]
    return area


def eleven_points(precision: list[float], recall: list[float]) -> float:
    """The measure up to VOC 2009."""
    total = 0.0
    for tenth in range(11):
        reached = [p for p, r in zip(precision, recall, strict=True) if r >= tenth / 10]
        total += max(reached, default=0.0) / 11
    return total


def average_precision(
    found: list[Found], truth: list[Truth], threshold: float
) -> tuple[float, float] | None:
    """Area and eleven-point average precision of a class; None without an object that counts."""
    if all(one.difficult for one in truth):
        return None
    precision, recall = precision_recall(found, truth, threshold)
    return area_under_envelope(precision, recall), eleven_points(precision, recall)
