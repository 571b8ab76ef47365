"""Columns of all images: as a sequence they are the images that they were made of."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics.samples import detections, random_data, target
from vision.detections import Detections
from vision.metrics.tables import DetectionTable, TargetTable
from vision.structures import Target

SEEDS = st.integers(0, 2**32 - 1)
FIELDS = {
    Detections: ("boxes", "scores", "labels", "size"),
    Target: ("boxes", "labels", "ignore", "crowd", "areas", "image_id", "size"),
}


def assert_same(found: Sequence[Detections | Target], given: Sequence[Detections | Target]) -> None:
    assert len(found) == len(given)
    for one, other in zip(found, given, strict=True):
        assert type(one) is type(other)
        for name in FIELDS[type(one)]:
            value, expected = getattr(one, name), getattr(other, name)
            if isinstance(expected, torch.Tensor):
                assert value.dtype == expected.dtype
                assert torch.equal(value, expected)
            else:
                assert value == expected


@given(SEEDS)
def test_the_images_come_back(seed: int) -> None:
    found, truth = random_data(seed, crowds=True)
    found = [Detections(one.boxes, one.scores, one.labels, (400, 300)) for one in found]
    assert_same(DetectionTable.of(found), found)
    assert_same(TargetTable.of(truth), truth)


def test_a_table_is_a_sequence() -> None:
    found = [detections(), detections([(0, 0, 9, 9)], [0.5], [2]), detections()]
    truth = [
        Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), image_id=i) for i in "abc"
    ]
    table, targets = DetectionTable.of(found), TargetTable.of(truth)
    assert DetectionTable.of(table) is table
    assert TargetTable.of(targets) is targets
    assert_same(table[1:], found[1:])
    assert_same([table[-2]], [found[1]])
    assert [one.image_id for one in targets[::-1]] == ["c", "b", "a"]
    with pytest.raises(IndexError):
        table[3]


@pytest.mark.parametrize("table", [DetectionTable.of([]), TargetTable.of([])])
def test_no_images(table: Sequence[object]) -> None:
    assert list(table) == []


def test_areas_and_names_are_kept() -> None:
    image = target([(0, 0, 10, 10)], [0])
    image = Target(image.boxes, image.labels, areas=torch.tensor([7.5]), image_id="x", size=(3, 4))
    assert_same(TargetTable.of([image]), [image])
