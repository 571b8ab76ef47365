"""Post-processing in fixed shapes: the detections of `PostProcess`, or word that they are not."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import vision.boxes as box_ops
from tests.model.test_postprocess import PRIORS, post_process, random_predictions
from vision.model import decode_predictions
from vision.model.fixed_shapes import ROUNDS, detect_in_fixed_shapes, greedy_nms

SIZES = [(240, 320), (100, 90), (333, 500)]
CORNERS = torch.tensor([[float(width), float(height)] for height, width in SIZES])


@given(
    seed=st.integers(0, 10_000),
    thresholds=st.lists(st.sampled_from([0.01, 0.3, 0.6, 1.0]), min_size=3, max_size=3),
    settings=st.fixed_dictionaries(
        {
            "nms_iou": st.sampled_from([0.1, 0.5, 1.0]),
            "max_candidates": st.sampled_from([7, 60, 1000]),
            "max_detections": st.sampled_from([1, 5, 200]),
            "max_per_class": st.sampled_from([None, 4]),
            "suppression": st.sampled_from(["nms", "soft_nms"]),
            "class_agnostic": st.booleans(),
            "clip_before_nms": st.booleans(),
        }
    ),
    width=st.sampled_from([20, None]),
)
def test_they_are_those_of_any_shape(
    seed: int, thresholds: list[float], settings: dict[str, Any], width: int | None
) -> None:
    post = post_process(**settings)
    decoded = decode_predictions(random_predictions(3, seed=seed), PRIORS)
    limits = torch.tensor(thresholds)
    expected = post(decoded, SIZES, limits)
    found = detect_in_fixed_shapes(post, decoded, CORNERS, limits.expand(3, -1), width)
    fits = (decoded.scores > limits).flatten(1).sum(dim=1) <= (width or 10_000)
    assert torch.equal(found.is_complete, fits)
    for rows, is_complete, one in zip(*found, expected, strict=True):
        filled = rows[rows[:, 4] > 0]
        if is_complete:
            assert torch.equal(filled[:, :4], one.boxes)
            assert torch.equal(filled[:, 4], one.scores)
            assert torch.equal(filled[:, 5].long(), one.labels)


@given(seed=st.integers(0, 10_000), num_boxes=st.integers(1, 40), overlap=st.integers(1, 3))
def test_suppression_is_torchvisions_also_where_overlaps_are_equal(
    seed: int, num_boxes: int, overlap: int
) -> None:
    """Of boxes on a grid, of which many have the same overlap, some just the threshold's."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 8, (num_boxes, 2), generator=generator)
    sides = torch.randint(1, 5, (num_boxes, 2), generator=generator)
    boxes = torch.cat([corner, corner + sides], dim=1).float()
    scores = torch.randint(0, 9, (num_boxes,), generator=generator).sort(descending=True).values / 8
    groups = torch.randint(0, 2, (num_boxes,), generator=generator)
    is_kept, is_settled = greedy_nms(boxes[None], scores[None], groups[None], overlap / 4)
    assert is_settled.all()
    expected = box_ops.nms(boxes, scores, groups, overlap / 4)
    assert is_kept[0].nonzero()[:, 0].tolist() == sorted(expected[scores[expected] > 0].tolist())


@pytest.mark.parametrize(("length", "is_enough"), [(ROUNDS, True), (ROUNDS + 1, False)])
def test_a_chain_that_the_rounds_do_not_reach_the_end_of_is_noticed(
    length: int, is_enough: bool
) -> None:
    """Boxes in a row that overlap their neighbours: each decides about the next one."""
    left = 6.0 * torch.arange(length)
    boxes = torch.stack([left, 0 * left, left + 10, 0 * left + 10], dim=1)
    scores = torch.linspace(1, 0.5, length)
    is_kept, is_settled = greedy_nms(boxes[None], scores[None], torch.zeros(1, length).long(), 0.2)
    assert bool(is_settled) == is_enough
    if is_enough:
        assert is_kept[0].tolist() == [place % 2 == 0 for place in range(length)]
