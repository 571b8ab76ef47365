"""Box geometry: algebra, and torchvision as the reference."""

import math

import pytest
import torch
import torchvision
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close
from torchvision.models.detection._utils import BoxCoder

import vision.boxes as box_ops

SIDE = 320
SIDES = st.integers(1, 4 * SIDE)
# Quarters of a pixel: differences of coordinates are exact.
QUARTERS = st.integers(-SIDE, 5 * SIDE).map(lambda value: value / 4)


@st.composite
def sound_boxes(draw: st.DrawFn, min_size: int = 1, max_size: int = 8) -> Tensor:
    """Boxes with an area; corners in quarters of a pixel."""
    count = draw(st.integers(min_size, max_size))
    rows = []
    for _ in range(count):
        x, y = draw(QUARTERS), draw(QUARTERS)
        rows.append([x, y, x + draw(SIDES) / 4, y + draw(SIDES) / 4])
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)


@st.composite
def any_boxes(draw: st.DrawFn, max_size: int = 8) -> Tensor:
    """Boxes of any corners, crossed ones and points among them."""
    rows = draw(st.lists(st.lists(QUARTERS, min_size=4, max_size=4), max_size=max_size))
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)


def tensor(*boxes: tuple[float, float, float, float]) -> Tensor:
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)


NO_BOXES = tensor()


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        pytest.param(NO_BOXES, NO_BOXES, id="none"),
        pytest.param(tensor((0, 0, 4, 2)), tensor((2, 1, 4, 2)), id="at the origin"),
        pytest.param(tensor((-1, 3, 2, 10)), tensor((0.5, 6.5, 3, 7)), id="partly outside"),
        pytest.param(tensor((5, 5, 5, 5)), tensor((5, 5, 0, 0)), id="a point"),
    ],
)
def test_corner_form_to_centre_form_by_hand(boxes: Tensor, expected: Tensor) -> None:
    assert torch.equal(box_ops.to_centre(boxes), expected)
    assert torch.equal(box_ops.to_corners(expected), boxes)


@given(any_boxes())
def test_forms_convert_there_and_back(boxes: Tensor) -> None:
    assert torch.equal(box_ops.to_corners(box_ops.to_centre(boxes)), boxes)
    assert torch.equal(box_ops.to_centre(box_ops.to_corners(boxes)), boxes)


@given(any_boxes())
def test_conversions_equal_torchvision(boxes: Tensor) -> None:
    convert = torchvision.ops.box_convert
    assert_close(box_ops.to_centre(boxes), convert(boxes, "xyxy", "cxcywh"))
    assert_close(box_ops.to_corners(boxes), convert(boxes, "cxcywh", "xyxy"))


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        pytest.param((0.0, 0.0, 4.0, 2.5), 10.0, id="continuous: no pixel is added"),
        pytest.param((3.0, 3.0, 3.0, 9.0), 0.0, id="no width"),
        pytest.param((3.0, 3.0, 1.0, 1.0), 0.0, id="both corners crossed"),
        pytest.param((3.0, 3.0, 1.0, 9.0), 0.0, id="one side crossed"),
    ],
)
def test_area_by_hand(box: tuple[float, float, float, float], expected: float) -> None:
    assert box_ops.area(tensor(box)).tolist() == [expected]
    assert box_ops.area(NO_BOXES).shape == (0,)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param((0, 0, 10, 10), (0, 0, 10, 10), 1.0, id="the same"),
        pytest.param((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3, id="half of it"),
        pytest.param((0, 0, 10, 10), (2, 2, 7, 7), 0.25, id="inside"),
        pytest.param((0, 0, 10, 10), (10, 0, 20, 10), 0.0, id="side by side"),
        pytest.param((0, 0, 10, 10), (50, 50, 60, 60), 0.0, id="apart in both directions"),
        pytest.param((0, 0, 10, 10), (4, 4, 4, 4), 0.0, id="with a point"),
        pytest.param((4, 4, 4, 4), (4, 4, 4, 4), 0.0, id="of a point with itself"),
        pytest.param((9, 9, 1, 1), (9, 9, 1, 1), 0.0, id="of a crossed box with itself"),
    ],
)
def test_iou_by_hand_is_0_and_not_nan_for_degenerate_boxes(
    first: tuple[float, float, float, float],
    second: tuple[float, float, float, float],
    expected: float,
) -> None:
    assert_close(box_ops.iou(tensor(first), tensor(second)), torch.tensor([[expected]]))


def test_iou_with_no_boxes_is_an_empty_table() -> None:
    assert box_ops.iou(NO_BOXES, tensor((0, 0, 1, 1))).shape == (0, 1)
    assert box_ops.iou(tensor((0, 0, 1, 1)), NO_BOXES).shape == (1, 0)


@pytest.mark.parametrize("side", [0.01, 1, 3, 10, 300])
def test_iou_of_a_small_relative_box_with_itself_is_exactly_1(side: float) -> None:
    """No epsilon enters the union, so small objects are not at a disadvantage."""
    box = tensor((7, 11, 7 + side, 11 + side))
    for boxes in (box, box_ops.scale(box, (300, 300), (1, 1))):
        assert box_ops.iou(boxes, boxes).item() == 1.0


@given(any_boxes(), any_boxes())
def test_iou_is_symmetric_and_in_0_to_1(first: Tensor, second: Tensor) -> None:
    overlaps = box_ops.iou(first, second)
    assert torch.equal(overlaps, box_ops.iou(second, first).T)
    assert bool(((overlaps >= 0) & (overlaps <= 1)).all())


@given(sound_boxes())
def test_iou_is_1_on_the_diagonal_alone(boxes: Tensor) -> None:
    overlaps = box_ops.iou(boxes, boxes)
    assert bool((overlaps.diagonal() == 1).all())
    same = (boxes[:, None] == boxes[None]).all(dim=2)
    assert torch.equal(overlaps == 1, same)


@given(
    sound_boxes(),
    sound_boxes(),
    st.tuples(st.integers(-500, 500), st.integers(-500, 500)),
    st.tuples(st.floats(0.25, 8), st.floats(0.25, 8)),
)
def test_iou_is_invariant_to_shift_and_scale(
    first: Tensor, second: Tensor, shift: tuple[int, int], factor: tuple[float, float]
) -> None:
    expected = box_ops.iou(first, second)
    shifts, factors = torch.tensor(shift * 2), torch.tensor(factor * 2)
    assert_close(box_ops.iou(first + shifts, second + shifts), expected)
    assert_close(box_ops.iou(first * factors, second * factors), expected, atol=1e-3, rtol=0)


@given(sound_boxes(), sound_boxes())
def test_iou_and_area_equal_torchvision(first: Tensor, second: Tensor) -> None:
    assert_close(box_ops.iou(first, second), torchvision.ops.box_iou(first, second))
    assert_close(box_ops.area(first), torchvision.ops.box_area(first))


def test_iou_works_image_by_image() -> None:
    first, second = tensor((0, 0, 4, 4), (1, 1, 9, 9)), tensor((2, 2, 6, 6))
    batch = box_ops.iou(torch.stack([first, first.flip(0)]), torch.stack([second, second + 1]))
    assert torch.equal(batch[0], box_ops.iou(first, second))
    assert torch.equal(batch[1], box_ops.iou(first.flip(0), second + 1))


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        pytest.param(NO_BOXES, NO_BOXES, id="none"),
        pytest.param(tensor((1, 2, 30, 10)), tensor((1, 2, 30, 10)), id="inside"),
        pytest.param(tensor((-5, -5, 99, 99)), tensor((0, 0, 40, 20)), id="around the image"),
        pytest.param(tensor((50, 5, 60, 9)), tensor((40, 5, 40, 9)), id="right of the image"),
        pytest.param(tensor((0, 0, 40, 20)), tensor((0, 0, 40, 20)), id="on the borders"),
    ],
)
def test_clip_by_hand_to_height_20_and_width_40(boxes: Tensor, expected: Tensor) -> None:
    assert torch.equal(box_ops.clip(boxes, (20, 40)), expected)


@given(any_boxes(), SIDES, SIDES)
def test_clip_is_idempotent_and_leaves_boxes_inside(boxes: Tensor, height: int, width: int) -> None:
    clipped = box_ops.clip(boxes, (height, width))
    assert torch.equal(box_ops.clip(clipped, (height, width)), clipped)
    assert torch.equal(
        clipped, torchvision.ops.clip_boxes_to_image(boxes, (height, width)).reshape(-1, 4)
    )


def test_scale_takes_height_and_width_in_that_order() -> None:
    boxes = tensor((10, 10, 20, 20))
    assert torch.equal(box_ops.scale(boxes, (100, 200), (300, 100)), tensor((5, 30, 10, 60)))
    assert torch.equal(box_ops.scale(NO_BOXES, (100, 200), (300, 100)), NO_BOXES)


@given(any_boxes(), st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES))
def test_scale_there_and_back_is_identity(
    boxes: Tensor, one: tuple[int, int], other: tuple[int, int]
) -> None:
    there = box_ops.scale(boxes, one, other)
    assert_close(box_ops.scale(there, other, one), boxes)


@given(sound_boxes())
def test_decode_undoes_encode(boxes: Tensor) -> None:
    centred = box_ops.to_centre(boxes)
    priors = centred.roll(1, dims=0) + 1
    ratio = centred[:, 2:] / priors[:, 2:]
    assume(bool((ratio < 60).all()))
    offsets = box_ops.encode(centred, priors)
    assert_close(box_ops.decode(offsets, priors), centred, rtol=1e-4, atol=1e-3)


@given(sound_boxes())
def test_encode_and_decode_equal_torchvision_with_variances_01_and_02(boxes: Tensor) -> None:
    coder = BoxCoder((10.0, 10.0, 5.0, 5.0))
    centred = box_ops.to_centre(boxes)
    priors = centred.roll(1, dims=0) + 1
    offsets = box_ops.encode(centred, priors)
    corners = box_ops.to_corners(priors)
    assert_close(offsets, coder.encode_single(boxes, corners), rtol=1e-4, atol=1e-4)
    assert_close(
        box_ops.to_corners(box_ops.decode(offsets, priors)),
        coder.decode_single(offsets, corners),
        rtol=1e-4,
        atol=1e-2,
    )


def test_encode_by_hand() -> None:
    offsets = box_ops.encode(tensor((60, 30, 20, 80)), tensor((50, 50, 40, 40)))
    expected = tensor((2.5, -5.0, math.log(0.5) / 0.2, math.log(2) / 0.2))
    assert_close(offsets, expected)


def test_decode_of_huge_offsets_is_finite_and_62_times_the_prior() -> None:
    boxes = box_ops.decode(tensor((0, 0, 1e6, 1e6)), tensor((0.5, 0.5, 0.2, 0.4)))
    assert_close(boxes, tensor((0.5, 0.5, 0.2 * 62.5, 0.4 * 62.5)))


def test_decode_takes_one_set_of_priors_for_a_batch() -> None:
    priors = tensor((0.5, 0.5, 0.2, 0.4), (0.1, 0.2, 0.3, 0.4))
    offsets = torch.arange(16.0).reshape(2, 2, 4) / 8
    decoded = box_ops.decode(offsets, priors)
    assert torch.equal(decoded[1], box_ops.decode(offsets[1], priors))


@st.composite
def candidates(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes that overlap a good deal, distinct scores, labels."""
    boxes = draw(sound_boxes(min_size=0, max_size=12)) / 8
    boxes = box_ops.to_corners(
        torch.cat([box_ops.to_centre(boxes)[:, :2] / 8, torch.full_like(boxes[:, 2:], 8)], dim=1)
    )
    scores = torch.tensor(draw(st.permutations(range(len(boxes)))), dtype=torch.float32)
    labels = draw(st.lists(st.integers(0, 2), min_size=len(boxes), max_size=len(boxes)))
    return boxes, (scores + 1) / 20, torch.tensor(labels, dtype=torch.int64)


@given(candidates())
def test_nms_output_is_sorted_a_subset_and_idempotent(found: tuple[Tensor, Tensor, Tensor]) -> None:
    boxes, scores, labels = found
    kept = box_ops.nms(boxes, scores, labels, 0.5)
    assert len(set(kept.tolist())) == len(kept)
    assert set(kept.tolist()) <= set(range(len(boxes)))
    assert scores[kept].tolist() == sorted(scores[kept].tolist(), reverse=True)
    again = box_ops.nms(boxes[kept], scores[kept], labels[kept], 0.5)
    assert again.tolist() == list(range(len(kept)))


@given(candidates())
def test_nms_drops_a_box_exactly_when_a_better_one_of_its_class_overlaps_it(
    found: tuple[Tensor, Tensor, Tensor],
) -> None:
    boxes, scores, labels = found
    overlaps = box_ops.iou(boxes, boxes)
    assume(bool(((overlaps - 0.5).abs() > 1e-4).all()))
    kept: list[int] = []
    for index in scores.argsort(descending=True).tolist():
        rivals = [k for k in kept if labels[k] == labels[index]]
        if not any(overlaps[k, index] > 0.5 for k in rivals):
            kept.append(index)
    assert box_ops.nms(boxes, scores, labels, 0.5).tolist() == kept


@pytest.mark.parametrize(
    ("labels", "threshold", "expected"),
    [
        pytest.param([0, 0], 0.4, [1], id="one class, IoU above"),
        pytest.param([0, 0], 0.6, [1, 0], id="one class, IoU below"),
        pytest.param([0, 1], 0.4, [1, 0], id="two classes"),
    ],
)
def test_nms_by_hand(labels: list[int], threshold: float, expected: list[int]) -> None:
    boxes = tensor((0, 0, 10, 10), (0, 0, 10, 5))
    kept = box_ops.nms(boxes, torch.tensor([0.6, 0.7]), torch.tensor(labels), threshold)
    assert kept.tolist() == expected


def test_nms_of_boxes_left_of_and_above_the_image_keeps_to_their_groups() -> None:
    boxes = tensor((20, 20, 60, 60), (-41, -41, -1, -1), (-41, -41, -2, -1))
    kept = box_ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 1, 1]), 0.5)
    assert kept.tolist() == [0, 1]


def test_nms_of_nothing_is_nothing() -> None:
    kept = box_ops.nms(NO_BOXES, torch.zeros(0), torch.zeros(0, dtype=torch.int64), 0.5)
    assert kept.tolist() == []
