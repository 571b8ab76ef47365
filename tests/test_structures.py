"""Targets (checks, defaults, pickling), and batches that pack them into one tensor."""

import io
import pickle
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from typing import Any

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor
from torch.testing import assert_close

from vision.structures import Batch, Target, pack_targets

# Under pytest jaxtyping finds a wrong shape before the class does, with an error of its own.
REFUSED = (ValueError, TypeCheckError)

BOXES = torch.tensor([[0.0, 0.0, 10.0, 10.0], [5.0, 2.0, 9.0, 4.0], [1.0, 1.0, 2.0, 3.0]])
SCORES = torch.tensor([0.9, 0.5, 0.25])
LABELS = torch.tensor([2, 0, 1])
FLAGS = torch.tensor([True, False, True])


def sample_target(**changes: Any) -> Target:  # noqa: ANN401
    values: dict[str, Any] = {
        "boxes": BOXES,
        "labels": LABELS,
        "ignore": FLAGS,
        "image_id": "a.jpg",
        "size": (20, 40),
        "crowd": torch.tensor([False, False, True]),
        "areas": torch.tensor([50.0, 8.0, 1.5]),
    }
    return Target(**(values | changes))


def columns(target: Target) -> list[Tensor]:
    return [target.boxes, target.labels, target.ignore, target.crowd, target.areas]


def test_target_without_objects() -> None:
    target = Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert len(target) == 0
    assert [len(column) for column in columns(target)] == [0] * 5
    assert (target.image_id, target.size) == ("", (0, 0))


def test_target_left_to_its_defaults_ignores_nothing_and_measures_boxes() -> None:
    target = Target(BOXES, LABELS)
    assert len(target) == 3
    assert target.ignore.tolist() == [False] * 3
    assert target.crowd.tolist() == [False] * 3
    assert target.areas.tolist() == [100.0, 8.0, 2.0]


def test_target_keeps_what_it_is_given() -> None:
    target = sample_target()
    assert target.ignore.tolist() == [True, False, True]
    assert target.crowd.tolist() == [False, False, True]
    assert target.areas.tolist() == [50.0, 8.0, 1.5]
    assert (target.image_id, target.size) == ("a.jpg", (20, 40))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"boxes": torch.zeros(0)}, id="boxes without columns"),
        pytest.param({"boxes": torch.zeros(3, 5)}, id="boxes of five columns"),
        pytest.param({"boxes": torch.zeros(1, 3, 4)}, id="boxes of a batch"),
        pytest.param({"boxes": BOXES.double()}, id="boxes of float64"),
        pytest.param({"boxes": BOXES.long()}, id="boxes of integers"),
        pytest.param({"labels": LABELS[:2]}, id="too few labels"),
        pytest.param({"labels": LABELS[:, None]}, id="labels in a column"),
        pytest.param({"labels": LABELS.int()}, id="labels of int32"),
        pytest.param({"labels": LABELS.float()}, id="labels of float32"),
        pytest.param({"ignore": FLAGS[:2]}, id="too few ignore flags"),
        pytest.param({"ignore": LABELS}, id="ignore flags of integers"),
        pytest.param({"crowd": FLAGS[:1]}, id="too few crowd flags"),
        pytest.param({"areas": torch.zeros(4)}, id="too many areas"),
        pytest.param({"areas": torch.zeros(3).double()}, id="areas of float64"),
    ],
)
def test_target_refuses_wrong_shapes_and_types(changes: dict[str, Tensor]) -> None:
    with pytest.raises(REFUSED):
        sample_target(**changes)


def test_without_pytest_the_check_says_expected_and_found() -> None:
    """The classes check by themselves too; here past jaxtyping's check of the constructor."""
    target = object.__new__(Target)
    values = {"boxes": BOXES, "labels": LABELS[:2], "ignore": FLAGS, "crowd": FLAGS}
    for name, value in {**values, "areas": SCORES}.items():
        object.__setattr__(target, name, value)
    with pytest.raises(ValueError, match=r"Target\.labels: expected .*\(3,\), got .*\(2,\)"):
        target.__post_init__()


def test_frozen() -> None:
    with pytest.raises((AttributeError, TypeError)):
        sample_target().boxes = BOXES  # type: ignore[misc]


TARGETS = [
    pytest.param(Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)), id="no objects"),
    pytest.param(Target(BOXES, LABELS, image_id=7), id="defaults"),
    pytest.param(sample_target(), id="every field"),
]


def assert_same(copy: Target, target: Target) -> None:
    for mine, theirs in zip(columns(copy), columns(target), strict=True):
        assert torch.equal(mine, theirs)
        assert mine.dtype == theirs.dtype
    assert (copy.image_id, copy.size) == (target.image_id, target.size)


@pytest.mark.parametrize("target", TARGETS)
def test_target_survives_pickling(target: Target) -> None:
    assert_same(pickle.loads(pickle.dumps(target)), target)  # noqa: S301


@pytest.mark.parametrize("target", TARGETS)
def test_target_goes_between_processes_by_value(target: Target) -> None:
    """Torch teaches this pickler to hand over file handles, one a tensor; none may be asked for."""
    buffer = io.BytesIO()
    ForkingPickler(buffer).dump(target)
    content = buffer.getvalue()
    assert b"torch.multiprocessing" not in content
    assert_same(pickle.loads(content), target)  # noqa: S301
    # The control: a bare tensor does go as a handle.
    ForkingPickler(buffer).dump(target.boxes)
    assert b"torch.multiprocessing" in buffer.getvalue()


def test_unpickled_target_can_be_written_to() -> None:
    copy = pickle.loads(pickle.dumps(sample_target()))  # noqa: S301
    copy.boxes.add_(1)
    assert torch.equal(copy.boxes, BOXES + 1)


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
    assert packed.rows.shape == (1, 11)
    assert not packed.positive.any()
    assert (packed.num_images, packed.max_objects, packed.has_ignored) == (count, 0, False)


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
