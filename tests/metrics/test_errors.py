"""TIDE's kinds of error and their costs: tidecv's values, a plain reference, and cases by hand."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import reference_tide as reference
from tests.metrics.samples import Box, detections, perfect, random_data, target
from tests.metrics.tide_cases import NUM_CLASSES, as_plain, as_structures, make_case
from vision.detections import Detections
from vision.metrics.errors import KIND_NAMES, classify_errors, error_costs
from vision.metrics.matching import match
from vision.structures import Target

TIDECV = json.loads(Path(__file__).with_name("tide_values.json").read_text("utf-8"))
NO_COSTS = dict.fromkeys([*reference.KINDS, "false positives", "false negatives"], 0.0)

A: Box = (0, 0, 10, 10)
HALF_A: Box = (0, 0, 10, 5)  # IoU exactly 0.5 with A
THIRD_A: Box = (0, 0, 10, 3)  # IoU 0.3 with A
TENTH_A: Box = (0, 0, 10, 1)  # IoU exactly 0.1 with A
FAR: Box = (50, 50, 60, 60)


def costs_of(found: list[Detections], truth: list[Target], num_classes: int) -> dict[str, float]:
    matching = match(found, truth, num_classes)
    return error_costs(matching, classify_errors(matching))


def kinds_of(found: Detections, truth: Target) -> list[str]:
    matching = match([found], [truth], 2)
    kinds = classify_errors(matching).kinds
    return ["right" if kind < 0 else KIND_NAMES[kind] for kind in kinds.tolist()]


@pytest.mark.parametrize("seed", list(TIDECV))
def test_costs_are_those_of_tidecv(seed: str) -> None:
    expected = {name: value for name, value in TIDECV[seed].items() if name != "AP50"}
    assert sum(cost != 0 for cost in expected.values()) >= 6
    costs = costs_of(*as_structures(*make_case(int(seed))), NUM_CLASSES)
    assert costs == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", list(TIDECV))
def test_the_plain_reference_gives_the_values_of_tidecv(seed: str) -> None:
    base, costs = reference.costs(*make_case(int(seed)))
    assert {"AP50": base, **costs} == pytest.approx(TIDECV[seed], abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.booleans())
def test_costs_are_those_of_the_plain_reference(seed: int, num_images: int, crowds: bool) -> None:
    """Scores and overlaps are equal now and then, and classes without boxes are detected."""
    found, truth = random_data(seed, num_images, crowds=crowds)
    _, expected = reference.costs(*as_plain(found, truth))
    assert costs_of(found, truth, 3) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("box", "label", "kind"),
    [
        (A, 0, "right"),
        (HALF_A, 0, "right"),
        (THIRD_A, 0, "localisation"),
        (TENTH_A, 0, "localisation"),
        (A, 1, "classification"),
        (HALF_A, 1, "classification"),
        (THIRD_A, 1, "both"),
        (TENTH_A, 1, "background"),
        (FAR, 0, "background"),
        (FAR, 1, "background"),
        ((3, 3, 3, 3), 0, "background"),
    ],
)
def test_kind_of_one_detection(box: Box, label: int, kind: str) -> None:
    assert kinds_of(detections([box], [0.9], [label]), target([A], [0])) == [kind]


def test_kinds_of_several_detections_of_a_box() -> None:
    found = detections([A, HALF_A, THIRD_A, A], [0.9, 0.8, 0.7, 0.6], [0, 0, 0, 1])
    kinds = ["right", "duplicate", "localisation", "classification"]
    assert kinds_of(found, target([A], [0])) == kinds


def test_a_localisation_error_is_one_even_on_a_box_of_another_class() -> None:
    truth = target([A, (0, 0, 10, 30)], [1, 0])
    assert kinds_of(detections([A], [0.9], [0]), truth) == ["localisation"]


def test_repairing_a_class_may_find_a_box() -> None:
    costs = costs_of([detections([A], [0.9], [1])], [target([A, FAR], [0, 1])], 2)
    repaired = {"classification": 0.5, "false negatives": 0.0, "missed": 0.0}
    assert costs == pytest.approx({**NO_COSTS, **repaired})


def test_only_the_best_detection_of_a_box_is_repaired() -> None:
    truth = [target([A], [0]), target([A], [0])]
    found = [
        detections([THIRD_A, THIRD_A], [0.9, 0.8], [0, 0]),
        detections([A], [0.7], [0]),
    ]
    costs = costs_of(found, truth, 1)
    # Found is one box of two at a precision of 1/3, then both at 1, that is, one wrong less.
    assert costs["localisation"] == pytest.approx(1 - 51 / 101 / 3)


@pytest.mark.parametrize(
    ("found", "truth"),
    [
        ([], []),
        ([detections()], [target()]),
        ([detections([A], [0.9], [0])], [target()]),
        ([detections([A], [0.9], [0])], [target([A], [0], [True])]),
        ([detections()], [target([A], [0], [True])]),
        ([perfect(target([A], [0]))], [target([A], [0])]),
    ],
)
def test_without_boxes_or_errors_nothing_costs(
    found: list[Detections], truth: list[Target]
) -> None:
    assert costs_of(found, truth, 2) == NO_COSTS


def test_without_detections_all_is_missed() -> None:
    costs = costs_of([detections()], [target([A], [0])], 2)
    assert costs == {**NO_COSTS, "missed": 1.0, "false negatives": 1.0}


def test_a_class_without_boxes_does_not_count() -> None:
    found = [detections([A, FAR], [0.9, 0.8], [0, 1])]
    assert costs_of(found, [target([A], [0])], 2) == NO_COSTS
