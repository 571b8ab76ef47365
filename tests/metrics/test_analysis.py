"""The numbers of a report together: confusions, mistakes, suspects, intervals and the edges."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import reference_tide as reference
from tests.metrics.samples import Box, detections, perfect, random_data, target
from tests.metrics.tide_cases import as_plain
from vision.detections import Detections
from vision.metrics import Analysis, Mistake, Suspect, analyse, bootstrap, evaluate_detections
from vision.metrics import analysis as module
from vision.metrics.confusion import confusion_matrix
from vision.metrics.matching import match
from vision.structures import Target

NAMES = ["cat", "dog", "sheep"]
CAT, DOG, SHEEP = range(3)

A: Box = (0.0, 0.0, 40.0, 40.0)
THIRD_A: Box = (0.0, 0.0, 40.0, 12.0)  # IoU 0.3 with A
B: Box = (100.0, 100.0, 140.0, 140.0)
C: Box = (200.0, 200.0, 240.0, 240.0)
D: Box = (300.0, 0.0, 380.0, 80.0)
SMALL: Box = (0.0, 200.0, 20.0, 220.0)
TINY: Box = (0.0, 300.0, 9.0, 309.0)
QUARTER_C: Box = (200.0, 200.0, 240.0, 210.0)  # IoU 0.25 with C
FAR: Box = (300.0, 300.0, 320.0, 320.0)


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAWS", 3)


def analyse_image(found: Detections, truth: Target) -> Analysis:
    return analyse([found], [truth], NAMES)


def plain_confusion(
    found: list[Detections], truth: list[Target], thresholds: list[float]
) -> list[list[int]]:
    """The confusion matrix, one detection at a time."""
    plain, boxes = as_plain(found, truth)
    kept = sorted(
        (one for one in plain if one.score >= thresholds[one.label]), key=lambda one: -one.score
    )
    matrix = [[0] * 4 for _ in range(4)]
    reference.match(kept, boxes)
    for one in kept:
        if one.kind == "right":
            matrix[one.label][one.label] += 1
        elif not one.is_ignored:
            free = [
                box
                for box in boxes
                if box.image == one.image and box.label != one.label
                if not box.ignored and not box.is_found
            ]
            iou, box = reference.closest(one, free)
            is_swapped = box is not None and iou >= 0.5
            if box is not None and is_swapped:
                box.is_found = True
            matrix[box.label if box is not None and is_swapped else 3][one.label] += 1
    for box in boxes:
        if not box.ignored and not box.is_found:
            matrix[box.label][3] += 1
    return matrix


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 8), min_size=3, max_size=3))
def test_confusions_are_those_counted_one_at_a_time(seed: int, eighths: list[int]) -> None:
    found, truth = random_data(seed, 4, crowds=True)
    matching = match(found, truth, 3)
    thresholds = np.array(eighths) / 8
    kept = matching.found.scores >= thresholds[matching.found.labels]
    expected = plain_confusion(found, truth, thresholds.tolist())
    assert confusion_matrix(matching, kept).tolist() == expected
    boxes = [box for box in as_plain(found, truth)[1] if not box.ignored]
    for label in range(3):
        assert sum(expected[label]) == sum(box.label == label for box in boxes)


def test_confusions_of_an_image() -> None:
    truth = target([A, B, C, D], [CAT, DOG, DOG, SHEEP])
    found = detections([A, B, C, D, FAR], [0.9, 0.8, 0.7, 0.6, 0.5], [CAT, CAT, DOG, DOG, DOG])
    analysis = analyse_image(found, truth)
    assert [point and point.score for point in analysis.thresholds] == [
        pytest.approx(0.9),
        pytest.approx(0.7),
        None,
    ]
    assert analysis.confusion.tolist() == [[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_mistakes_are_listed_by_kind_and_the_worst_first() -> None:
    truth = target([A, B, C, SMALL, D], [CAT, CAT, CAT, CAT, CAT])
    near_b = (100.0, 100.0, 140.0, 112.0)
    boxes = [B, FAR, A, A, D, near_b, TINY, C]
    labels = [DOG, CAT, CAT, CAT, CAT, CAT, CAT, CAT]
    scores = [0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.25]
    other = [target([A, B], [DOG, DOG]), target([D], [CAT])]
    found = [
        detections(boxes, scores, labels),
        detections([A, FAR], [0.9, 0.85], [DOG, CAT]),
        detections(),
    ]
    analysis = analyse(found, [truth, *other], NAMES)
    assert [point and round(point.score, 3) for point in analysis.thresholds] == [0.25, 0.9, None]
    expected = [
        Mistake("classification", 0, B, DOG, 0.95, CAT, B, 1.0),
        Mistake("localisation", 0, near_b, CAT, 0.7, CAT, B, 0.3),
        Mistake("duplicate", 0, A, CAT, 0.8, CAT, A, 1.0),
        Mistake("background", 0, FAR, CAT, 0.9, None, None, 0.0),
        Mistake("background", 1, FAR, CAT, 0.85, None, None, 0.0),
        Mistake("background", 0, TINY, CAT, 0.65, None, None, 0.0),
        Mistake("missed", 2, D, CAT, None, None, None, 0.0),
        Mistake("missed", 1, B, DOG, None, None, None, 0.0),
        Mistake("missed", 0, SMALL, CAT, None, None, None, 0.0),
    ]
    assert_equal(analysis.mistakes, expected)


def assert_equal(
    values: Sequence[Mistake | Suspect], expected: Sequence[Mistake | Suspect]
) -> None:
    """Equal but for the rounding of float32."""
    assert len(values) == len(expected)
    for value, its_expected in zip(map(asdict, values), map(asdict, expected), strict=True):
        for name, what in its_expected.items():
            is_number = isinstance(what, float)
            assert value[name] == (pytest.approx(what, abs=1e-6) if is_number else what)


def test_a_mistake_between_class_and_place_names_the_box_that_it_overlaps_most() -> None:
    found = detections([A, THIRD_A], [0.9, 0.9], [CAT, DOG])
    truth = target([A, FAR], [CAT, DOG])
    analysis = analyse_image(found, truth)
    (both,) = [mistake for mistake in analysis.mistakes if mistake.kind == "both"]
    assert_equal([both], [Mistake("both", 0, THIRD_A, DOG, 0.9, CAT, A, 0.3)])


def test_a_detection_in_an_ignored_box_is_no_mistake() -> None:
    analysis = analyse_image(
        detections([A, B], [0.9, 0.8], [CAT, CAT]), target([A, B], [CAT, CAT], [True, False])
    )
    assert analysis.mistakes == []
    assert analysis.suspects == []
    assert analysis.confusion.sum() == 1


def test_suspects() -> None:
    truth = target([A, B, C, D, TINY], [CAT, DOG, CAT, CAT, CAT])
    found = detections(
        [B, QUARTER_C, A, FAR, FAR],
        [0.95, 0.92, 0.9, 0.75, 0.3],
        [CAT, CAT, CAT, DOG, SHEEP],
    )
    # Of A's range of size one box of three is found, of D's three of four, and TINY is alone.
    large = [target([D], [CAT])] * 3
    analysis = analyse([found, *map(perfect, large)], [truth, *large], NAMES)
    expected = [
        Suspect("other class", 0, B, CAT, 0.95, DOG),
        Suspect("missing box", 0, QUARTER_C, CAT, 0.92, None),
        Suspect("missing box", 0, FAR, DOG, 0.75, None),
        Suspect("unfound box", 0, D, CAT, None, CAT),
    ]
    assert_equal(analysis.suspects, expected)


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(36)), st.permutations(range(36)))
def test_spoilt_labels_are_suspect_and_no_others(places: list[int], scores: list[int]) -> None:
    """A box is removed, one has a wrong class, one is moved; what is right is detected."""
    boxes = [
        (60.0 * (k % 6), 60.0 * (k // 6), 60.0 * (k % 6) + 40, 60.0 * (k // 6) + 40) for k in places
    ]
    removed, swapped, moved, free = range(4)
    labels = [k % 2 for k in range(36)]
    kept = [k for k in range(36) if k not in (moved, free)]
    kept.sort(key=lambda k: -scores[k])
    found = detections(
        [boxes[k] for k in kept], [0.6 + scores[k] / 100 for k in kept], [labels[k] for k in kept]
    )
    spoilt = [k for k in range(36) if k not in (removed, free)]
    truth = target(
        [boxes[k] for k in spoilt], [SHEEP if k == swapped else labels[k] for k in spoilt]
    )
    suspects = analyse_image(found, truth).suspects
    assert {(suspect.kind, suspect.box) for suspect in suspects} == {
        ("missing box", boxes[removed]),
        ("other class", boxes[swapped]),
        ("unfound box", boxes[moved]),
    }


def test_a_box_is_less_suspect_if_a_detection_comes_close() -> None:
    large = [target([D], [CAT])] * 3
    near = detections([(300, 0, 380, 32)], [0.1], [CAT])  # IoU 0.4
    truth = target([D], [CAT])
    analysis = analyse([near, *map(perfect, large)], [truth, *large], NAMES)
    assert analysis.suspects == []  # three of four of its size are found: 0.75 * (1 - 0.4)


def test_a_confusion_is_no_suspect_where_the_box_is_found() -> None:
    found = detections([A, A, B], [0.9, 0.8, 0.7], [CAT, DOG, CAT])
    assert analyse_image(found, target([A, B], [DOG, CAT])).suspects == []


def test_intervals_are_those_of_the_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    found, truth = random_data(5, 8)
    monkeypatch.setattr(module, "DRAWS", 20)
    low, high = np.quantile(bootstrap(found, truth, 3, 20)[1:], (0.025, 0.975), axis=0)
    intervals = analyse(found, truth, NAMES).intervals
    assert intervals == {
        "voc.mAP50": pytest.approx((low[0], high[0])),
        "coco.AP": pytest.approx((low[1], high[1])),
    }


def test_metrics_that_are_known_are_kept() -> None:
    found, truth = random_data(6)
    metrics = evaluate_detections(found, truth, NAMES)
    assert analyse(found, truth, NAMES, metrics).metrics is metrics
    assert analyse(found, truth, NAMES).metrics == metrics


@pytest.mark.parametrize(
    ("found", "truth"),
    [
        ([], []),
        ([detections()], [target()]),
        ([detections()], [target([A], [CAT], [True])]),
        ([detections([A], [0.9], [CAT])], [target([A], [CAT], [True])]),
    ],
)
def test_without_boxes_or_detections_that_count(
    found: list[Detections], truth: list[Target]
) -> None:
    analysis = analyse(found, truth, NAMES)
    assert analysis.curves == [None] * 3
    assert analysis.thresholds == [None] * 3
    assert analysis.confusion.shape == (4, 4)
    assert analysis.confusion.sum() == 0
    assert {(group.num_boxes, group.ap50) for group in analysis.sizes} == {(0, None)}
    assert {(group.num_boxes, group.recall) for group in analysis.aspects} == {(0, None)}
    assert set(analysis.error_costs.values()) == {0.0}
    assert analysis.calibration_error is None
    assert analysis.mistakes == []
    assert analysis.suspects == []
    assert analysis.intervals == {}


def test_images_without_boxes_or_detections_among_others() -> None:
    truth = target([A, B], [CAT, DOG])
    analysis = analyse(
        [detections(), perfect(truth), detections([C], [1.0], [SHEEP])],
        [target([A], [CAT]), truth, target()],
        NAMES,
    )
    assert [point and point.recall for point in analysis.thresholds] == [0.5, 1.0, None]
    assert analysis.confusion.tolist() == [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]
    assert [suspect.kind for suspect in analysis.suspects] == ["missing box", "unfound box"]
    assert [mistake.kind for mistake in analysis.mistakes] == ["background", "missed"]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="got 1 Detections and 2 Targets"):
        analyse([detections()], [target(), target()], NAMES)
