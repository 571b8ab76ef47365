"""Batches, and their targets packed into one tensor."""

from dataclasses import replace

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor
from torch.testing import assert_close

from tests import reference_model as reference
from vision.batch import Batch, pack_targets
from vision.structures import Target

REFUSED = TypeCheckError


def make_target(ignore: list[bool], crowd: list[bool]) -> Target:
    """Four objects on an image of 100 x 200 pixels; the last has no area."""
    boxes = torch.tensor([[0, 0, 100, 50], [20, 10, 60, 30], [0, 0, 200, 100], [50.0, 50, 50, 50]])
    labels = torch.tensor([3, 1, 2, 0])
    flags = [torch.tensor(values) for values in (ignore, crowd)]
    return Target(boxes, labels, flags[0], size=(100, 200), crowd=flags[1])


def test_objects_lie_image_by_image_relative_to_it_with_what_they_are() -> None:
    target = make_target([False, True, True, False], [False, False, True, False])
    empty = Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), size=(10, 10))
    packed = pack_targets([empty, target, empty, replace(target, boxes=target.boxes / 2)])
    expected = [[0, 0, 0.5, 0.5], [0.1, 0.1, 0.3, 0.3], [0, 0, 1, 1], [0.25, 0.5, 0.25, 0.5]]
    assert_close(packed.boxes[:4], torch.tensor(expected))
    assert_close(packed.boxes[4:], torch.tensor(expected) / 2)
    assert packed.labels.tolist() == [3, 1, 2, 0] * 2
    assert packed.images.tolist() == [1] * 4 + [3] * 4
    assert packed.positive.tolist() == [True, False, False, False] * 2
    assert packed.difficult.tolist() == [False, True, False, False] * 2
    assert packed.crowd.tolist() == [False, False, True, False] * 2
    assert (packed.num_images, packed.max_objects, packed.has_ignored) == (4, 1, True)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_without_objects_there_is_one_row_of_nothing(count: int) -> None:
    empty = Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), size=(10, 10))
    packed = pack_targets([empty] * count)
    assert packed.rows.shape == (1, 9)
    assert not packed.positive.any()
    assert (packed.num_images, packed.max_objects, packed.has_ignored) == (count, 0, False)


def test_mirrored_on_the_device_is_what_mirrored_targets_pack_to() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = [reference.random_target(generator, count, flags=True) for count in (4, 0, 3, 5)]
    flips = torch.tensor([True, True, False, True])
    mirrored = []
    for target, flip in zip(targets, flips.tolist(), strict=True):
        x0, y0, x1, y1 = target.boxes.unbind(1)
        width = target.size[1]
        boxes = torch.stack([width - x1, y0, width - x0, y1], dim=1)
        mirrored.append(replace(target, boxes=boxes) if flip else target)
    found, expected = pack_targets(targets).flipped(flips), pack_targets(mirrored)
    assert torch.equal(found.rows, expected.rows)
    assert torch.equal(found.boxes, expected.boxes)


def test_batch_moves_images_and_packed_targets_and_leaves_targets() -> None:
    targets = [make_target([False] * 4, [False] * 4)] * 2
    moved = Batch(torch.zeros(2, 3, 4, 5, dtype=torch.uint8), targets).to("meta")
    assert moved.images.device.type == "meta"
    assert moved.images.shape == (2, 3, 4, 5)
    assert moved.targets is targets
    assert moved.packed is not None
    assert moved.packed.rows.device.type == "meta"


@pytest.mark.parametrize(
    "images",
    [
        pytest.param(torch.zeros(2, 3, 4, 5), id="floating"),
        pytest.param(torch.zeros(2, 4, 5, 3, dtype=torch.uint8), id="channels last"),
        pytest.param(torch.zeros(3, 4, 5, dtype=torch.uint8), id="one image"),
    ],
)
def test_batch_refuses_other_images(images: Tensor) -> None:
    with pytest.raises(REFUSED):
        Batch(images, [])
