"""Task-aligned assignment: against plain arithmetic, by hand, and at its edges."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close
from torchvision.ops import generalized_box_iou_loss

import vision.boxes as box_ops
from tests import reference_model as reference
from tests.dispatch import CountedOperations
from tests.reference_model import random_predictions, seeded
from vision.model import MultiBoxLoss, alignment, matching, prior_boxes
from vision.model.alignment import align
from vision.structures import Predictions, Target, pack_targets

SEEDS = st.integers(0, 10_000)
SIZE = (240, 320)
NUM_CLASSES = 3
WAITS = ("nonzero", "_local_scalar_dense", "masked_select", "index.Tensor_bool")


def cases(seed: int, counts: list[int], num_priors: int) -> tuple[list[Target], Tensor]:
    generator = seeded(seed)
    targets = [reference.random_target(generator, count, SIZE, flags=True) for count in counts]
    return targets, reference.random_priors(generator, num_priors)


@given(SEEDS, st.lists(st.integers(0, 6), min_size=1, max_size=3), st.sampled_from([4, 60]))
@settings(max_examples=15)
def test_equals_plain_arithmetic(seed: int, counts: list[int], num_priors: int) -> None:
    """Objects lie in close pairs, some are ignored, and most have more than 13 candidates."""
    targets, priors = cases(seed, counts, num_priors)
    predictions = random_predictions(len(targets), num_priors, seed)
    with torch.no_grad():
        found = align(pack_targets(targets), priors, predictions)
    for row, target in enumerate(targets):
        objects, ignored, quality = reference.align(
            target, priors, predictions.logits[row], predictions.offsets[row]
        )
        first = sum(counts[:row])
        assert found.objects[row].tolist() == [first + k if k >= 0 else k for k in objects]
        assert found.ignored[row].tolist() == ignored
        assert_close(found.quality[row], torch.tensor(quality), rtol=1e-3, atol=1e-5)


@given(SEEDS, st.integers(2, 9))
@settings(max_examples=15)
def test_every_object_gets_a_prior_that_learns_it(seed: int, count: int) -> None:
    """Small ones that hold no centre, and equal ones, of which one would get all."""
    generator = seeded(seed)
    centre = torch.rand(count, 2, generator=generator) * torch.tensor([300, 200]) + 10
    side = 1 + 30 * torch.rand(count, 2, generator=generator)
    boxes = torch.cat([centre - side / 2, centre + side / 2], dim=1)
    boxes[1] = boxes[0]
    target = Target(boxes, torch.zeros(count, dtype=torch.int64), size=(220, 320))
    priors = prior_boxes([(8, 8), (4, 4)])
    predictions = random_predictions(1, len(priors), seed)
    found = align(pack_targets([target]), priors, predictions)
    assert set(found.objects.flatten().tolist()) == {-1, *range(count)}
    for row in range(count):
        assert found.quality[found.objects == row].max() > 0


@given(SEEDS, st.integers(2, 9))
@settings(max_examples=15)
def test_parts_of_a_batch_and_a_gpu_find_the_same(seed: int, count: int) -> None:
    """Objects in parts of two at a time, and free priors given as on a GPU."""
    targets, priors = cases(seed, [count, 0, 2 * count], 40)
    packed, predictions = pack_targets(targets), random_predictions(3, 40, seed)
    expected = align(packed, priors, predictions)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(alignment, "CHUNK_PAIRS", 80)
        patched.setattr(matching, "_free_on_cpu", matching._free_on_gpu)
        found = align(packed, priors, predictions)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_a_crowd_is_not_searched_in_rounds() -> None:
    """On a CPU; each of 300 rounds would go through the best 300 priors of 300 objects."""
    targets, priors = cases(0, [300], 400)
    with CountedOperations() as counted:
        align(pack_targets(targets), priors, random_predictions(1, 400, 0))
    assert 0 < counted.counts["aten.scatter_reduce_.two"] < 10


def test_no_part_of_it_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "_free_on_cpu", matching._free_on_gpu)
    targets, priors = cases(0, [3, 0, 5], 60)
    packed = pack_targets(targets)._replace(has_ignored=False)
    predictions = random_predictions(3, 60, 0)
    loss = MultiBoxLoss(
        priors, assignment="tal", classification="quality", localisation="giou", scores="sigmoid"
    )
    with CountedOperations() as counted:
        assignment = loss.assign(packed, predictions)
        torch.autograd.backward(loss(predictions, assignment).total)
    assert not [name for name in counted.counts if any(part in name for part in WAITS)]
    assert counted.counts["aten.topk.default"] == 2


@given(SEEDS, st.lists(st.integers(0, 4), min_size=1, max_size=3), st.booleans(), st.booleans())
@settings(max_examples=15)
def test_the_loss_equals_plain_arithmetic(
    seed: int, counts: list[int], quality_focal: bool, giou: bool
) -> None:
    """By the formulas of GFL and TOOD, with torchvision's GIoU and smooth L1."""
    targets, priors = cases(seed, counts, 60)
    predictions = random_predictions(len(targets), 60, seed)
    loss = MultiBoxLoss(
        priors,
        assignment="tal",
        classification="quality" if quality_focal else "cross_entropy",
        localisation="giou" if giou else "smooth_l1",
        scores="sigmoid",
    )
    losses = loss(predictions, targets)
    sums, weights = torch.zeros(2, dtype=torch.float64), 0.0
    for row, target in enumerate(targets):
        logits, offsets = predictions.logits[row].detach(), predictions.offsets[row].detach()
        matches = reference.align(target, priors, logits, offsets)
        weights += sum(matches[2])
        for p, (k, is_ignored, quality) in enumerate(zip(*matches, strict=True)):
            aims = torch.zeros(NUM_CLASSES, dtype=torch.float64)
            if k >= 0:
                aims[target.labels[k]] = quality
                box = torch.tensor(reference.relative(target)[k])
                aim = torch.tensor(reference.encode(box.tolist(), priors[p].tolist()))
                place = torch.tensor(reference.decode(offsets[p].tolist(), priors[p].tolist()))
                distance = torch.nn.functional.smooth_l1_loss(offsets[p], aim, reduction="sum")
                if giou:
                    distance = 2 * generalized_box_iou_loss(place, box)
                sums[1] += quality * float(distance)
            scores = logits[p, :-1].double().sigmoid()
            entropies = -(aims * scores.log() + (1 - aims) * (1 - scores).log())
            focus = (aims - scores) ** 2 if quality_focal else 1.0
            sums[0] += 0.0 if is_ignored else (focus * entropies).sum()
    expected = sums / max(1.0, weights)
    assert losses.classification.item() == pytest.approx(float(expected[0]), rel=1e-3, abs=1e-5)
    assert losses.localisation.item() == pytest.approx(float(expected[1]), rel=1e-3, abs=1e-5)


def test_background_learns_nothing_and_ignored_priors_neither() -> None:
    priors = torch.tensor([[0.25, 0.5, 0.5, 1.0], [0.75, 0.5, 0.5, 1.0]])
    boxes = box_ops.to_corners(priors) * torch.tensor([320.0, 240, 320, 240])
    target = Target(boxes, torch.tensor([0, 1]), torch.tensor([False, True]), size=SIZE)
    logits = torch.zeros(1, 2, 3, requires_grad=True)
    offsets = torch.full((1, 2, 4), 0.1, requires_grad=True)
    loss = MultiBoxLoss(priors, assignment="tal", localisation="giou", scores="sigmoid")
    torch.autograd.backward(loss(Predictions(logits, offsets), [target]).total)
    assert logits.grad is not None
    assert offsets.grad is not None
    assert logits.grad[0, :, 2].tolist() == [0, 0]
    assert logits.grad[0, 1].tolist() == [0, 0, 0]
    assert logits.grad[0, 0, 0] < 0 < logits.grad[0, 0, 1]
    assert offsets.grad[0, 0].abs().max() > 0
    assert offsets.grad[0, 1].abs().max() == 0
