"""VOC's average precision: against the kit's arithmetic, against paper, and at the edges."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.samples import Box, detections, grid_data, perfect, random_data, target
from tests.reference_voc import Found, Truth, average_precision
from vision.detections import Detections
from vision.metrics import voc_ap
from vision.structures import Target

MakeData = Callable[..., tuple[list[Detections], list[Target]]]
SEEDS = st.integers(0, 2**32 - 1)

A: Box = (0, 0, 10, 10)
NEAR_A: Box = (0, 0, 10, 9)  # IoU 0.9 with A
HALF_A: Box = (0, 0, 10, 5)  # IoU exactly 0.5 with A
FAR: Box = (50, 50, 60, 60)


def inclusive(box: torch.Tensor) -> Box:
    """The continuous box's corners as VOC writes them."""
    x0, y0, x1, y1 = box.tolist()
    return x0 + 1, y0 + 1, x1, y1


def devkit(
    found: list[Detections], truth: list[Target], label: int, threshold: float
) -> tuple[float, float] | None:
    detected = [
        Found(image, float(score), inclusive(box))
        for image, one in enumerate(found)
        for box, score, its_label in zip(one.boxes, one.scores, one.labels, strict=True)
        if its_label == label
    ]
    objects = [
        Truth(image, inclusive(box), bool(difficult))
        for image, one in enumerate(truth)
        for box, its_label, difficult in zip(one.boxes, one.labels, one.ignore, strict=True)
        if its_label == label
    ]
    return average_precision(detected, objects, threshold)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.sampled_from([0.3, 0.5, 0.75]), st.sampled_from([random_data, grid_data]))
def test_equals_the_development_kit(seed: int, threshold: float, make: MakeData) -> None:
    found, truth = make(seed, num_classes=3)
    result = voc_ap(found, truth, 3, threshold)
    for label in range(3):
        expected = devkit(found, truth, label, threshold)
        area, points = expected or (None, None)
        assert result.ap[label] == pytest.approx(area, abs=1e-12)
        assert result.ap_11pt[label] == pytest.approx(points, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_does_not_depend_on_the_order_of_truth_or_the_scale_of_scores(seed: int) -> None:
    found, truth = random_data(seed, crowds=True)
    result = voc_ap(found, truth, 3)
    turned = [
        Target(one.boxes.flip(0), one.labels.flip(0), one.ignore.flip(0), crowd=one.crowd.flip(0))
        for one in truth
    ]
    halved = [Detections(one.boxes, one.scores / 2, one.labels) for one in found]
    assert voc_ap(halved, turned, 3) == result
    for value in result.ap + result.ap_11pt:
        assert value is None or 0 <= value <= 1


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_truth_as_detections_is_perfect(seed: int) -> None:
    _, truth = random_data(seed, num_classes=4)
    result = voc_ap([perfect(one) for one in truth], truth, 4)
    assert set(result.ap) | set(result.ap_11pt) <= {1.0, None}
    assert [value is None for value in result.ap] == [boxes == 0 for boxes in result.num_boxes]


@pytest.mark.parametrize("num_objects", [1, 3, 7, 10, 11, 30, 99])
def test_perfect_is_exactly_one_for_any_number_of_objects(num_objects: int) -> None:
    truth = [target([A], [0])] * num_objects
    result = voc_ap([perfect(one) for one in truth], truth, 1)
    assert (result.mean, result.mean_11pt) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("found", "truth", "area", "points"),
    [
        pytest.param(detections(), target(), None, None, id="nothing at all"),
        pytest.param(detections([A], [0.9], [0]), target(), None, None, id="no truth"),
        pytest.param(detections(), target([A], [0]), 0.0, 0.0, id="no detection"),
        pytest.param(detections([FAR], [0.9], [0]), target([A], [0]), 0.0, 0.0, id="all wrong"),
        pytest.param(detections([A], [0.9], [0]), target([A], [0]), 1.0, 1.0, id="found"),
        pytest.param(
            detections([HALF_A], [0.9], [0]), target([A], [0]), 1.0, 1.0, id="IoU at the threshold"
        ),
        pytest.param(
            detections([A, NEAR_A], [0.9, 0.8], [0, 0]),
            target([A, FAR], [0, 0]),
            # right, wrong (found before): precision 1 up to recall 1/2
            1 / 2,
            6 / 11,
            id="found twice",
        ),
        pytest.param(
            detections([FAR, A], [0.9, 0.8], [0, 0]),
            target([A], [0]),
            # wrong, right: precision 1/2 at recall 1, and before it by the envelope
            1 / 2,
            1 / 2,
            id="wrong first",
        ),
        pytest.param(
            detections([A, (90, 90, 95, 95), FAR], [0.9, 0.8, 0.7], [0, 0, 0]),
            target([A, FAR], [0, 0]),
            # right, wrong, right: 1/2 x 1 + 1/2 x 2/3; points 0-0.5 at 1, 0.6-1 at 2/3
            5 / 6,
            (6 + 5 * 2 / 3) / 11,
            id="wrong between",
        ),
        pytest.param(
            detections([A, NEAR_A, FAR], [0.9, 0.8, 0.7], [0, 0, 0]),
            target([A, FAR], [0, 0], ignore=[True, False]),
            # both on the difficult box are left out; one right of one
            1.0,
            1.0,
            id="difficult, found twice",
        ),
        pytest.param(
            detections([A], [0.9], [0]), target([A], [0], ignore=[True]), None, None, id="difficult"
        ),
        pytest.param(
            detections([HALF_A, FAR], [0.9, 0.8], [0, 0]),
            target([(0, 0, 20, 10), FAR], [0, 0], ignore=[True, False]),
            # IoU 1/4 with the difficult box: wrong, though it lies inside
            1 / 2,
            1 / 2,
            id="inside a difficult box",
        ),
        pytest.param(
            detections([HALF_A, FAR], [0.9, 0.8], [0, 0]),
            target([(0, 0, 20, 10), FAR], [0, 0], [True, False], [True, False]),
            # it lies in the crowd: left out
            1.0,
            1.0,
            id="inside a crowd",
        ),
        pytest.param(
            detections([A, FAR], [0.9, 0.8], [0, 0]),
            target([(0, 0, 4, 10), FAR], [0, 0], [True, False], [True, False]),
            # 0.4 of it lies in the crowd: wrong
            1 / 2,
            1 / 2,
            id="partly inside a crowd",
        ),
        pytest.param(
            detections([A], [0.9], [0]),
            target([(0, 0, 20, 20), A], [0, 0], [True, False], [True, False]),
            # an object is matched before the crowd around it
            1.0,
            1.0,
            id="object in a crowd",
        ),
        pytest.param(
            detections([A, A], [0.9, 0.8], [0, 1]),
            target([A], [0]),
            1.0,
            1.0,
            id="another class does not count",
        ),
        pytest.param(
            detections([A], [0.9], [0]), target([(5, 5, 5, 5)], [0]), 0.0, 0.0, id="no area"
        ),
    ],
)
def test_by_hand(
    found: Detections, truth: Target, area: float | None, points: float | None
) -> None:
    result = voc_ap([found], [truth], 2)
    assert result.ap[0] == pytest.approx(area)
    assert result.ap_11pt[0] == pytest.approx(points)


def test_a_recall_of_three_tenths_reaches_its_point() -> None:
    # Three of ten found, all right: the points 0, 0.1, 0.2 and 0.3.
    truth = [target([A], [0])] * 10
    found = [perfect(one) if index < 3 else detections() for index, one in enumerate(truth)]
    assert voc_ap(found, truth, 1).ap_11pt == [pytest.approx(4 / 11)]


def test_scores_rank_over_all_images() -> None:
    truth = [target([A], [0]), target([A], [0]), target()]
    found = [detections([A], [0.5], [0]), detections(), detections([A], [0.9], [0])]
    # wrong in the third image, then right in the first: 1/2 at recall 1/2
    assert voc_ap(found, truth, 1).ap == [pytest.approx(1 / 4)]


def test_absent_classes_are_out_of_the_mean() -> None:
    truth = [target([A, FAR, A], [0, 2, 3], ignore=[False, False, True])]
    result = voc_ap([detections([A, A], [0.9, 0.8], [0, 1])], truth, 5)
    assert result.ap == [1.0, None, 0.0, None, None]
    assert result.num_boxes == [1, 0, 1, 0, 0]
    assert (result.mean, result.mean_11pt) == (0.5, 0.5)


@pytest.mark.parametrize("num_classes", [0, 3])
def test_no_images(num_classes: int) -> None:
    result = voc_ap([], [], num_classes)
    assert result.ap == result.ap_11pt == [None] * num_classes
    assert result.mean is None
    assert result.mean_11pt is None


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.01, float("nan")])
def test_refuses_a_threshold_out_of_range(threshold: float) -> None:
    with pytest.raises(ValueError, match="iou_threshold: expected more than 0, at most 1"):
        voc_ap([], [], 1, threshold)
