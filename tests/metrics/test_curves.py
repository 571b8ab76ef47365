"""Curves, best thresholds, calibration and the groups of boxes, against plain versions."""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests import reference_tide as reference
from tests.metrics.samples import Box, as_boxes, detections, perfect, random_data, target
from tests.metrics.tide_cases import as_plain
from vision.detections import Detections
from vision.metrics.calibration import calibration_bins, calibration_error
from vision.metrics.curves import best_threshold, best_thresholds, make_curves
from vision.metrics.groups import (
    ASPECT_EDGES,
    SIZE_EDGES,
    Group,
    by_aspect,
    by_size,
)
from vision.metrics.matching import Matching, match
from vision.structures import Target

Values = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""What boxes are divided by, from their corners and areas."""
SEEDS = st.integers(0, 2**32 - 1)
A: Box = (0, 0, 40, 40)
B: Box = (100, 100, 140, 140)
C: Box = (200, 200, 240, 240)
FAR: Box = (300, 300, 320, 320)


def kept_by(
    found: list[Detections], truth: list[Target], label: int, threshold: float
) -> tuple[int, int, int]:
    """Right detections, all that count, and boxes of a class, from a score threshold on."""
    plain, boxes = as_plain(found, truth)
    kept = [one for one in plain if one.label == label and one.score >= threshold]
    reference.match(kept, boxes)
    right = sum(one.kind == "right" for one in kept)
    num_boxes = sum(box.label == label and not box.ignored for box in boxes)
    return right, right + sum(not one.kind and not one.is_ignored for one in kept), num_boxes


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_best_threshold_is_the_best_of_all_scores(seed: int) -> None:
    found, truth = random_data(seed, crowds=True)
    curves = make_curves(match(found, truth, 3))
    scores = {score for one in found for score in one.scores.tolist()}
    for label, curve in enumerate(curves):
        expected = (Fraction(0), 0.0)  # F1 and score, of which the highest is the best
        for score in scores:
            right, count, num_boxes = kept_by(found, truth, label, score)
            expected = max(expected, (Fraction(2 * right, max(count + num_boxes, 1)), score))
        assert (curve is None) == (kept_by(found, truth, label, 0)[2] == 0)
        point = best_threshold(curve)
        if curve is None or not expected[0]:
            assert point is None
            continue
        right, count, num_boxes = kept_by(found, truth, label, expected[1])
        values = (expected[1], right / count, right / num_boxes, float(expected[0]))
        assert point == pytest.approx(values, abs=1e-12)


@pytest.mark.parametrize("shared", [0, 3, 100])
@pytest.mark.parametrize("seed", range(4))
def test_boxes_of_the_average_class_count_beside_its_own(seed: int, shared: int) -> None:
    """Against counting all classes at each score; without shared boxes it is the class's own F1."""
    found, truth = random_data(seed)
    matching = match(found, truth, 3)
    curves = make_curves(matching)
    points = best_thresholds(matching, curves, shared)
    if not shared:
        assert points == [best_threshold(curve) for curve in curves]
    total = sum(kept_by(found, truth, label, 0)[2] for label in range(3))
    for label, (point, curve) in enumerate(zip(points, curves, strict=True)):
        best = (Fraction(0), 0.0)
        for score in [] if curve is None else curve.scores.tolist():
            rows = [kept_by(found, truth, each, score) for each in range(3)]
            share = Fraction(shared, total)
            counts = [sum(row[column] for row in rows if row[2]) for column in range(2)]
            right, count, num_boxes = rows[label]
            f1 = 2 * (right + share * counts[0]) / (count + share * counts[1] + num_boxes + shared)
            if right:
                best = max(best, (f1, score))
        assert (point.score if point else 0.0) == best[1]


def test_curve_of_a_class() -> None:
    truth = [target([A, B], [0, 0])]
    found = [detections([FAR, A, FAR, B], [0.875, 0.75, 0.5, 0.25], [0, 0, 0, 0])]
    curve, absent = make_curves(match(found, truth, 2))
    assert absent is None
    assert curve is not None
    assert curve.scores.tolist() == [0.875, 0.75, 0.5, 0.25]
    assert curve.precision.tolist() == [0, 1 / 2, 1 / 3, 2 / 4]
    assert curve.recall.tolist() == [0, 0.5, 0.5, 1]
    assert best_threshold(curve) == pytest.approx((0.25, 0.5, 1, 2 / 3))


def test_of_thresholds_with_the_same_f1_the_highest_is_the_best() -> None:
    truth = [target([A, B, C], [0, 0, 0])]
    # 1 of 1 and 3 boxes: 2/4. 2 of 5 and 3 boxes: 4/8.
    boxes, scores = [A, FAR, FAR, FAR, B], [0.875, 0.75, 0.5, 0.375, 0.25]
    (curve,) = make_curves(match([detections(boxes, scores, [0] * 5)], truth, 1))
    assert best_threshold(curve) == pytest.approx((0.875, 1, 1 / 3, 0.5))


def test_a_threshold_keeps_all_detections_of_its_score() -> None:
    (curve,) = make_curves(match([detections([A, FAR], [0.5, 0.5], [0, 0])], [target([A], [0])], 1))
    assert best_threshold(curve) == pytest.approx((0.5, 0.5, 1, 2 / 3))


@pytest.mark.parametrize("found", [detections(), detections([FAR], [0.9], [0])])
def test_a_class_of_which_nothing_is_found_has_no_threshold(found: Detections) -> None:
    (curve,) = make_curves(match([found], [target([A], [0])], 1))
    assert curve is not None
    assert best_threshold(curve) is None


def test_calibration() -> None:
    scores = np.array([1.0, 0.95, 0.9, 0.55, 0.15, 0.0])
    is_right = np.array([True, True, False, True, False, False])
    bins = calibration_bins(scores, is_right)
    assert [one.count for one in bins] == [1, 1, 0, 0, 0, 1, 0, 0, 0, 3]
    assert (bins[9].low, bins[9].high) == (0.9, 1.0)
    assert (bins[9].mean_score, bins[9].precision) == pytest.approx((0.95, 2 / 3))
    assert (bins[5].mean_score, bins[5].precision) == (0.55, 1)
    assert (bins[2].mean_score, bins[2].precision) == (0.25, 0)
    expected = (3 * (0.95 - 2 / 3) + (1 - 0.55) + 0.15 + 0) / 6
    assert calibration_error(bins) == pytest.approx(expected)
    assert calibration_error(bins[2:5]) is None


def test_scores_that_are_no_probabilities_are_in_the_bins_at_the_ends() -> None:
    scores = np.array([97.0, 1.5, -2.0])
    bins = calibration_bins(scores, np.array([True, False, False]))
    assert [one.count for one in bins] == [1, *[0] * 8, 2]


def roots(boxes: np.ndarray, areas: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(areas))


def aspects(boxes: np.ndarray, areas: np.ndarray) -> np.ndarray:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1]))


def coco_index(images: list[dict[str, Any]], values: Values) -> COCO:
    """Boxes of all images as pycocotools takes them, with a value of each as its "area"."""
    rows: list[dict[str, Any]] = []
    for image, columns in enumerate(images, start=1):
        corners = columns["boxes"].double().numpy()
        sizes = corners[:, 2:] - corners[:, :2]
        areas = columns.get("areas", torch.from_numpy(sizes.prod(1))).double().numpy()
        for row, value in enumerate(values(corners, areas).tolist()):
            rows.append(
                {
                    "id": len(rows) + 1,
                    "image_id": image,
                    "category_id": int(columns["labels"][row]) + 1,
                    "bbox": [*corners[row, :2], *sizes[row]],
                    "area": value,
                    "iscrowd": int(columns["ignore"][row]) if "ignore" in columns else 0,
                    "score": float(columns["scores"][row]) if "scores" in columns else 1.0,
                }
            )
    index = COCO()
    index.dataset = {
        "images": [{"id": image + 1} for image in range(len(images))],
        "categories": [{"id": label + 1} for label in range(3)],
        "annotations": rows,
    }
    index.createIndex()
    return index


def coco_groups(
    found: list[Detections], truth: list[Target], edges: dict[str, float], values: Values
) -> list[tuple[int, float | None]]:
    """Number of boxes and AP50 of each group by pycocotools."""
    boxes = [
        {"boxes": t.boxes, "labels": t.labels, "areas": t.areas, "ignore": t.ignore} for t in truth
    ]
    ground_truth = coco_index(boxes, values)
    results = coco_index([dict(one.to_dict()) for one in found], values)
    evaluation = COCOeval(ground_truth, results, "bbox")
    evaluation.params.areaRng = [
        [low, np.nextafter(high, 0)] for low, high in pairwise([0.0, *edges.values()])
    ]
    evaluation.params.areaRngLbl = list(edges)
    evaluation.params.iouThrs = np.array([0.5])
    evaluation.params.recThrs = np.arange(101) / 100
    evaluation.params.maxDets = [1000]
    evaluation.evaluate()
    evaluation.accumulate()
    groups = []
    for index, (low, high) in enumerate(evaluation.params.areaRng):
        precision = evaluation.eval["precision"][0, :, :, index, 0]
        defined = precision[precision > -1]
        counted = [row for row in ground_truth.dataset["annotations"] if not row["iscrowd"]]
        count = sum(low <= row["area"] <= high for row in counted)
        groups.append((count, float(defined.mean()) if len(defined) else None))
    return groups


@pytest.mark.parametrize(
    ("make", "edges", "values"),
    [(by_size, SIZE_EDGES, roots), (by_aspect, ASPECT_EDGES, aspects)],
)
def test_groups_are_those_of_pycocotools(
    make: Callable[[Matching, np.ndarray], list[Group]], edges: dict[str, float], values: Values
) -> None:
    found, truth = random_data(3, 60, crowds=True)
    matching = match(found, truth, 3)
    is_found = matching.is_found()
    groups = make(matching, is_found)
    expected = coco_groups(found, truth, edges, values)
    assert [group.name for group in groups] == list(edges)
    assert [group.num_boxes for group in groups] == [count for count, _ in expected]
    assert sum(count > 0 for count, _ in expected) >= 4
    for group, (_, ap50) in zip(groups, expected, strict=True):
        assert group.ap50 == pytest.approx(ap50, abs=1e-9)
    totals = sum(group.num_boxes * (group.recall or 0) for group in groups)
    assert totals == pytest.approx((is_found & ~matching.ignored).sum())


def test_a_group_without_boxes_has_no_numbers() -> None:
    truth = target([A], [0])
    groups = by_size(match([perfect(truth)], [truth], 1), np.array([True]))
    names = ["medium, 32 to 64 px"]
    assert [group.name for group in groups if group.num_boxes] == names
    for group in groups:
        expected = (1, 1.0, 1.0) if group.name in names else (0, None, None)
        assert group[1:] == expected


def test_a_box_on_the_edge_of_two_ranges_belongs_to_the_upper_one() -> None:
    truth = Target(as_boxes([(0, 0, 32, 32)]), target([A], [0]).labels)
    groups = by_size(match([detections()], [truth], 1), np.array([False]))
    assert [group.name for group in groups if group.num_boxes] == ["medium, 32 to 64 px"]
