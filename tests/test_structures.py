"""What the parts hand each other: checks, defaults, indexing, pickling."""

import io
import pickle
from multiprocessing.reduction import ForkingPickler
from typing import Any

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor

from vision.structures import Detections, Target

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


def sample_detections(size: tuple[int, int] | None = (20, 40)) -> Detections:
    return Detections(BOXES, SCORES, LABELS, size)


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


@pytest.mark.parametrize(
    ("boxes", "scores", "labels"),
    [
        pytest.param(torch.zeros(0), torch.zeros(0), LABELS[:0], id="boxes without columns"),
        pytest.param(torch.zeros(3, 5), SCORES, LABELS, id="boxes of five columns"),
        pytest.param(BOXES.half(), SCORES, LABELS, id="boxes of float16"),
        pytest.param(BOXES, SCORES[:2], LABELS, id="too few scores"),
        pytest.param(BOXES, SCORES[:, None], LABELS, id="scores in a column"),
        pytest.param(BOXES, SCORES.double(), LABELS, id="scores of float64"),
        pytest.param(BOXES, SCORES, LABELS[:2], id="too few labels"),
        pytest.param(BOXES, SCORES, LABELS.int(), id="labels of int32"),
    ],
)
def test_detections_refuse_wrong_shapes_and_types(
    boxes: Tensor, scores: Tensor, labels: Tensor
) -> None:
    with pytest.raises(REFUSED):
        Detections(boxes, scores, labels)


def test_without_pytest_the_check_says_expected_and_found() -> None:
    """The classes check by themselves too; here past jaxtyping's check of the constructor."""
    target = object.__new__(Target)
    values = {"boxes": BOXES, "labels": LABELS[:2], "ignore": FLAGS, "crowd": FLAGS}
    for name, value in {**values, "areas": SCORES}.items():
        object.__setattr__(target, name, value)
    with pytest.raises(ValueError, match=r"Target\.labels: expected .*\(3,\), got .*\(2,\)"):
        target.__post_init__()


def test_frozen() -> None:
    for thing in (sample_target(), sample_detections()):
        with pytest.raises((AttributeError, TypeError)):
            thing.boxes = BOXES  # type: ignore[misc]


def test_detections_empty() -> None:
    nothing = Detections.empty((20, 40))
    assert len(nothing) == 0
    assert nothing.size == (20, 40)
    assert nothing.boxes.shape == (0, 4)
    assert len(nothing[torch.zeros(0, dtype=torch.bool)]) == 0
    assert nothing.scale_to((10, 10)).size == (10, 10)
    assert Detections.empty().size is None


@pytest.mark.parametrize(
    ("index", "kept"),
    [
        pytest.param(torch.zeros(3, dtype=torch.bool), [], id="a mask of none"),
        pytest.param(FLAGS, [0, 2], id="a mask"),
        pytest.param(SCORES > 0.4, [0, 1], id="a mask by score"),
        pytest.param(torch.zeros(0, dtype=torch.int64), [], id="no index"),
        pytest.param(torch.tensor([2, 0]), [2, 0], id="indices"),
        pytest.param(slice(1, None), [1, 2], id="a slice"),
        pytest.param(slice(0, 0), [], id="an empty slice"),
    ],
)
def test_detections_indexed(index: Tensor | slice, kept: list[int]) -> None:
    picked = sample_detections()[index]
    assert len(picked) == len(kept)
    assert picked.size == (20, 40)
    for column, full in ((picked.boxes, BOXES), (picked.scores, SCORES), (picked.labels, LABELS)):
        assert torch.equal(column, full[torch.tensor(kept, dtype=torch.int64)])


def test_detections_scale_to_takes_height_and_width() -> None:
    scaled = sample_detections((20, 40)).scale_to((40, 20))
    assert scaled.size == (40, 20)
    assert scaled.boxes[0].tolist() == [0, 0, 5, 20]
    assert torch.equal(scaled.scores, SCORES)
    assert torch.equal(scaled.scale_to((20, 40)).boxes, BOXES)


def test_detections_of_unknown_size_cannot_be_scaled() -> None:
    with pytest.raises(ValueError, match="is unknown"):
        sample_detections(None).scale_to((40, 20))


def test_detections_to_dict_has_torchvisions_keys() -> None:
    values = sample_detections().to_dict()
    assert set(values) == {"boxes", "scores", "labels"}
    assert torch.equal(values["boxes"], BOXES)
    assert torch.equal(values["scores"], SCORES)
    assert torch.equal(values["labels"], LABELS)


def test_detections_to_another_device() -> None:
    moved = sample_detections().to("meta")
    parts = (moved.boxes, moved.scores, moved.labels)
    assert {part.device.type for part in parts} == {"meta"}
    assert moved.size == (20, 40)


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
