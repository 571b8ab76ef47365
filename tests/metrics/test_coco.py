"""COCO's numbers: against pycocotools, against paper, and at the edges."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.metrics.samples import detections, grid_data, perfect, random_data, target
from vision.detections import Detections
from vision.metrics import CocoResult, coco_ap
from vision.metrics.reference import pycocotools_ap
from vision.structures import Target

SEEDS = st.integers(0, 2**32 - 1)
NUM_CLASSES = 4


def numbers(result: CocoResult) -> list[float | None]:
    """The twelve, in COCO's order."""
    return list(astuple(result)[1:])


def with_pycocotools(
    truth: dict[str, Any], found: list[dict[str, Any]]
) -> tuple[list[float | None], list[float | None]]:
    """The twelve numbers and those of each class; None instead of -1."""
    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO()
        index.dataset = truth
        index.createIndex()
        evaluation = COCOeval(index, index.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    per_class = evaluation.eval["precision"][:, :, :, 0, -1].mean(axis=(0, 1))
    return (
        [None if value == -1 else float(value) for value in evaluation.stats],
        [None if value == -1 else float(value) for value in per_class],
    )


def as_coco(
    found: list[Detections], truth: list[Target]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The same in COCO's two file formats, with categories and images under ids of their own."""

    def rows(boxed: Sequence[Detections | Target]) -> list[dict[str, Any]]:
        return [
            {
                "image_id": 100 + image,
                "category_id": 10 * int(label) + 7,
                "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()],
            }
            for image, one in enumerate(boxed)
            for box, label in zip(one.boxes, one.labels, strict=True)
        ]

    scores = [score for one in found for score in one.scores.tolist()]
    areas = [area for one in truth for area in one.areas.tolist()]
    crowds = [int(flag) for one in truth for flag in one.ignore.tolist()]
    annotations = [
        {"id": number, **row, "area": area, "iscrowd": crowd}
        for number, (row, area, crowd) in enumerate(
            zip(rows(truth), areas, crowds, strict=True), start=1
        )
    ]
    images = [{"id": 100 + image} for image in range(len(truth))]
    categories = [{"id": 10 * label + 7} for label in range(NUM_CLASSES)]
    instances = {"images": images, "categories": categories, "annotations": annotations}
    results = [{**row, "score": score} for row, score in zip(rows(found), scores, strict=True)]
    return instances, results


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.booleans())
def test_equals_pycocotools(seed: int, has_ties: bool) -> None:
    data = grid_data(seed, NUM_CLASSES) if has_ties else None
    found, truth = data or random_data(seed, num_classes=NUM_CLASSES, crowds=True)
    instances, results = as_coco(found, truth)
    assume(results)  # pycocotools cannot read an empty list
    result = coco_ap(found, truth, NUM_CLASSES)
    expected, expected_per_class = with_pycocotools(instances, results)
    assert numbers(result) == pytest.approx(expected, abs=1e-9)
    assert result.per_class == pytest.approx(expected_per_class, abs=1e-9)
    reference = pycocotools_ap(found, truth, NUM_CLASSES)
    assert numbers(reference) == expected


def test_more_than_a_hundred_detections_of_one_image_equal_pycocotools() -> None:
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 300, (150, 2))
    boxes = [(float(x), float(y), float(x + 40), float(y + 40)) for x, y in corners]
    scores = np.linspace(1, 0.1, 150).tolist()
    found, truth = [detections(boxes, scores, [0] * 150)], [target(boxes[::3], [0] * 50)]
    expected, _ = with_pycocotools(*as_coco(found, truth))
    assert numbers(coco_ap(found, truth, NUM_CLASSES)) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_truth_as_detections_is_perfect(seed: int) -> None:
    _, truth = random_data(seed, num_images=4)
    truth = [Target(one.boxes, one.labels) for one in truth]
    result = coco_ap([perfect(one) for one in truth], truth, NUM_CLASSES)
    names = [field.name for field in fields(CocoResult)][1:]
    values = dict(zip(names, numbers(result), strict=True))
    assert {values[name] for name in ("AP", "AP50", "AP75", "AR100")} <= {1.0, None}
    assert set(result.per_class) <= {1.0, None}


@pytest.mark.parametrize("side", [10, 50, 200])
def test_sizes(side: int) -> None:
    truth = [target([(0, 0, side, side)], [0])]
    result = coco_ap([perfect(truth[0])], truth, 1)
    by_size = [1.0 if side == its_side else None for its_side in (10, 50, 200)]
    assert [result.APs, result.APm, result.APl] == by_size
    assert [result.ARs, result.ARm, result.ARl] == by_size


def test_the_first_class_of_the_first_image_counts() -> None:
    # Ids 0 are where COCO's code goes wrong; label 0, image 0, object 0 must be found.
    truth = [target([(0, 0, 50, 50)], [0]), target([(0, 0, 50, 50)], [1])]
    result = coco_ap([perfect(one) for one in truth], truth, 2)
    assert (result.AP, result.AR1, result.per_class) == (1.0, 1.0, [1.0, 1.0])


def test_an_ignored_box_is_a_crowd() -> None:
    truth = [target([(0, 0, 100, 100), (200, 0, 240, 40)], [0, 0], ignore=[True, False])]
    inside = (10.0, 10.0, 40.0, 40.0)
    found = [detections([inside, inside, (200, 0, 240, 40)], [0.9, 0.8, 0.7], [0, 0, 0])]
    assert coco_ap(found, truth, 1).AP == 1.0


@pytest.mark.parametrize(
    ("found", "truth"),
    [
        pytest.param([], [], id="no images"),
        pytest.param([detections()], [target()], id="an empty image"),
        pytest.param([detections([(0, 0, 9, 9)], [0.9], [0])], [target()], id="no truth"),
        pytest.param(
            [perfect(target([(0, 0, 9, 9)], [0]))],
            [target([(0, 0, 9, 9)], [0], ignore=[True])],
            id="all ignored",
        ),
    ],
)
@pytest.mark.parametrize("num_classes", [1, 3])
def test_undefined(found: list[Detections], truth: list[Target], num_classes: int) -> None:
    result = coco_ap(found, truth, num_classes)
    assert numbers(result) == [None] * 12
    assert result.per_class == [None] * num_classes


def test_no_classes() -> None:
    assert numbers(coco_ap([detections()], [target()], 0)) == [None] * 12


def test_no_detections_is_zero_where_there_are_boxes() -> None:
    result = coco_ap([detections(), detections()], [target([(0, 0, 9, 9)], [1]), target()], 3)
    assert result.per_class == [None, 0.0, None]
    assert (result.AP, result.AR100, result.APs, result.APl) == (0.0, 0.0, 0.0, None)


def test_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    truth = [target([(0, 0, 9, 9)], [0])]
    coco_ap([perfect(truth[0])], truth, 1)
    assert capfd.readouterr() == ("", "")
