"""The multibox loss: against torchvision and plain arithmetic, and at its edges."""

from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close
from torchvision.models.detection._utils import BoxCoder, SSDMatcher
from torchvision.models.detection.ssd import SSD
from torchvision.ops import box_iou

import vision.boxes as box_ops
from tests import reference_model as reference
from tests.reference_model import seeded
from vision.model import Losses, MultiBoxLoss, match, prior_boxes
from vision.model.layers import Scores
from vision.structures import Predictions, Target, pack_targets

SEEDS = st.integers(0, 10_000)
SIZE = (240, 320)
NUM_CLASSES = 3
PRIORS = prior_boxes([(4, 4), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1)])
random_predictions = partial(reference.random_predictions, num_priors=len(PRIORS))


def as_target(
    *boxes: tuple[float, float, float, float],
    labels: Sequence[int] = (),
    ignore: bool = False,
    crowd: bool = False,
) -> Target:
    """Objects whose boxes are fractions of the image, ignored all or none."""
    fractions = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Target(
        box_ops.scale(fractions, (1, 1), SIZE),
        torch.tensor(labels or [0] * len(boxes), dtype=torch.int64),
        torch.full((len(boxes),), ignore or crowd),
        size=SIZE,
        crowd=torch.full((len(boxes),), crowd),
    )


def gradients(predictions: Predictions, losses: Losses) -> tuple[Tensor, Tensor]:
    logits, offsets = torch.autograd.grad(losses.total, list(predictions))
    return logits, offsets


def torchvision_loss(
    predictions: Predictions, targets: Sequence[Target]
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Torchvision's losses and matches; its background is class 0, its boxes are in pixels."""
    anchors = box_ops.scale(box_ops.to_corners(PRIORS), (1, 1), SIZE)
    matches = [
        SSDMatcher(0.5)(box_iou(target.boxes, anchors))
        if len(target)
        else torch.full((len(PRIORS),), -1)
        for target in targets
    ]
    logits = torch.cat([predictions.logits[..., -1:], predictions.logits[..., :-1]], dim=-1)
    self = SimpleNamespace(box_coder=BoxCoder((10.0, 10.0, 5.0, 5.0)), neg_to_pos_ratio=3.0)
    losses = SSD.compute_loss(
        self,
        [{"boxes": target.boxes, "labels": target.labels + 1} for target in targets],
        {"cls_logits": logits, "bbox_regression": predictions.offsets},
        [anchors] * len(targets),
        matches,
    )
    return losses, matches


def large_target(generator: torch.Generator, count: int) -> Target:
    """Objects, each in its own quarter of the image, so that each has its own best prior."""
    quarter = torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5], [0.5, 0.5]])[:count]
    sides = 0.3 + 0.2 * torch.rand(count, 2, generator=generator)
    corner = quarter + (0.5 - sides) * torch.rand(count, 2, generator=generator)
    boxes = box_ops.scale(torch.cat([corner, corner + sides], dim=1), (1, 1), SIZE)
    labels = torch.randint(NUM_CLASSES, (count,), generator=generator)
    return Target(boxes, labels, size=SIZE)


@given(SEEDS, st.lists(st.integers(0, 4), min_size=1, max_size=4))
def test_equals_torchvision(seed: int, counts: list[int]) -> None:
    """It has no floor of negatives, which matters in images without objects."""
    targets = [large_target(seeded(seed + row), count) for row, count in enumerate(counts)]
    predictions = random_predictions(len(targets), seed=seed)
    expected, matches = torchvision_loss(predictions, targets)
    for row, (found, target) in enumerate(zip(matches, targets, strict=True)):
        assert torch.equal(match(pack_targets([target]), PRIORS).objects[0], found), row
    floor = 0 if 0 in counts else 3
    losses = MultiBoxLoss(PRIORS, min_negatives=floor)(predictions, targets)
    assert_close(losses.classification, expected["classification"], rtol=1e-4, atol=1e-5)
    assert_close(losses.localisation, expected["bbox_regression"], rtol=1e-4, atol=1e-5)


@given(
    SEEDS,
    st.lists(st.integers(0, 6), min_size=1, max_size=3),
    st.integers(0, 6),
    st.sampled_from([1.0, 2.5, 3.0]),
    st.sampled_from(["softmax", "sigmoid"]),
)
def test_equals_plain_arithmetic_with_objects_to_ignore(
    seed: int, counts: list[int], floor: int, ratio: float, scores: Scores
) -> None:
    generator = seeded(seed)
    targets = [reference.random_target(generator, count, SIZE, flags=True) for count in counts]
    priors = reference.random_priors(generator, 40)
    predictions = reference.random_predictions(len(targets), 40, seed)
    loss = MultiBoxLoss(priors, negative_ratio=ratio, min_negatives=floor, scores=scores)
    expected = reference.loss(*predictions, targets, priors, ratio, floor, scores)
    losses = loss(predictions, targets)
    assert losses.classification.item() == pytest.approx(expected[0], rel=1e-4, abs=1e-5)
    assert losses.localisation.item() == pytest.approx(expected[1], rel=1e-4, abs=1e-5)


def test_perfect_predictions_cost_nothing() -> None:
    target = as_target((0.1, 0.1, 0.5, 0.6), (0.6, 0.5, 0.9, 0.9), labels=[1, 2])
    objects = match(pack_targets([target]), PRIORS).objects[0]
    classes = torch.where(objects >= 0, target.labels[objects], NUM_CLASSES)
    logits = 50.0 * torch.nn.functional.one_hot(classes, NUM_CLASSES + 1)
    centred = box_ops.to_centre(box_ops.scale(target.boxes, SIZE, (1, 1)))
    offsets = box_ops.encode(centred[objects], PRIORS)
    losses = MultiBoxLoss(PRIORS)(Predictions(logits[None], offsets[None]), [target])
    assert losses.classification.item() == pytest.approx(0, abs=1e-6)
    assert losses.localisation.item() == pytest.approx(0, abs=1e-6)
    # Background as the first class, not the last, would be wrong everywhere.
    turned = Predictions(logits[None].roll(1, dims=2), offsets[None])
    assert MultiBoxLoss(PRIORS)(turned, [target]).classification > 50


def test_total_is_the_sum_of_the_parts() -> None:
    losses = MultiBoxLoss(PRIORS)(random_predictions(1), [as_target((0.1, 0.1, 0.5, 0.6))])
    assert losses.classification > 0
    assert losses.localisation > 0
    assert losses.total == losses.classification + losses.localisation


@pytest.mark.parametrize("floor", [1, 3, 10])
def test_image_without_objects_teaches_background_on_its_hardest_priors(floor: int) -> None:
    predictions = random_predictions(1)
    losses = MultiBoxLoss(PRIORS, min_negatives=floor)(predictions, [as_target()])
    logits, offsets = gradients(predictions, losses)
    taught = logits[0].abs().sum(dim=1) > 0
    assert int(taught.sum()) == floor
    assert bool((logits[0, taught, -1] < 0).all())
    assert bool((logits[0, taught, :-1] > 0).all())
    assert not offsets.any()
    hardness = -predictions.logits[0].log_softmax(dim=1)[:, -1]
    assert hardness[taught].min() > hardness[~taught].max()


def test_without_a_floor_an_image_without_objects_teaches_nothing() -> None:
    predictions = random_predictions(1)
    losses = MultiBoxLoss(PRIORS, min_negatives=0)(predictions, [as_target()])
    logits, _ = gradients(predictions, losses)
    assert losses.total == 0
    assert not logits.any()


@pytest.mark.parametrize("ratio", [1.0, 3.0])
def test_each_image_teaches_its_own_share_of_negatives(ratio: float) -> None:
    targets = [as_target((0.1, 0.1, 0.6, 0.6)), as_target((0, 0, 1, 1), (0.6, 0.6, 0.9, 0.9))]
    predictions = random_predictions(2)
    losses = MultiBoxLoss(PRIORS, negative_ratio=ratio, min_negatives=0)(predictions, targets)
    logits, offsets = gradients(predictions, losses)
    positives = (match(pack_targets(targets), PRIORS).objects >= 0).sum(dim=1)
    assert positives[0] != positives[1]
    assert (offsets.abs().sum(dim=2) > 0).sum(dim=1).tolist() == positives.tolist()
    taught = (logits.abs().sum(dim=2) > 0).sum(dim=1)
    assert taught.tolist() == (positives * (1 + ratio)).int().tolist()


def test_normalised_by_the_positives_of_the_whole_batch() -> None:
    full, empty = as_target((0.05, 0.05, 0.95, 0.95)), as_target()
    predictions = random_predictions(2)
    first = Predictions(predictions.logits[:1], predictions.offsets[:1])
    second = Predictions(predictions.logits[1:], predictions.offsets[1:])
    count = int((match(pack_targets([full]), PRIORS).objects >= 0).sum())
    assert count > 1
    loss = MultiBoxLoss(PRIORS)
    expected = loss(first, [full]).total + loss(second, [empty]).total / count
    assert_close(loss(predictions, [full, empty]).total, expected)


BOX = (0.1, 0.1, 0.5, 0.6)
EDGES = [
    pytest.param([as_target()], id="no boxes"),
    pytest.param([as_target()] * 3, id="no boxes in the whole batch"),
    pytest.param([as_target(BOX, ignore=True)], id="all difficult"),
    pytest.param([as_target((0, 0, 1, 1), crowd=True)], id="a crowd over the whole image"),
    pytest.param([as_target((0.3, 0.3, 0.3, 0.3))], id="a point"),
    pytest.param([as_target((0.6, 0.6, 0.3, 0.3), BOX)], id="crossed corners"),
    pytest.param([as_target((0.5, 0.5, 0.5001, 0.9))], id="a hair"),
    pytest.param([as_target((0.5, 0.5, 0.5 + 1e-7, 0.9))], id="a box of one rounding step"),
    pytest.param([as_target((-0.5, -0.5, 1.5, 1.5))], id="larger than the image"),
    pytest.param([as_target((1.5, 1.5, 1.7, 1.7))], id="outside the image"),
    pytest.param([as_target(BOX)], id="batch of one"),
    pytest.param([as_target(BOX, BOX, labels=[0, 2])], id="two objects share their best prior"),
    pytest.param([as_target(*[BOX] * (len(PRIORS) + 5))], id="more objects than priors"),
    pytest.param([as_target(BOX), as_target()], id="one image with and one without"),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("targets", EDGES)
def test_finite_with_finite_gradients_on_every_edge(
    targets: list[Target], dtype: torch.dtype
) -> None:
    leaves = random_predictions(len(targets))
    predictions = Predictions(*(part.to(dtype) for part in leaves))
    losses = MultiBoxLoss(PRIORS)(predictions, targets)
    assert losses.total.dtype == torch.float32
    assert bool(losses.classification.isfinite())
    assert bool(losses.localisation.isfinite())
    assert losses.total >= 0
    for gradient in gradients(leaves, losses):
        assert bool(gradient.isfinite().all())


def test_no_images_cost_nothing() -> None:
    assert MultiBoxLoss(PRIORS)(random_predictions(0), []).total == 0


@pytest.mark.parametrize("factor", [1e4, 1e6])
def test_finite_for_huge_predictions(factor: float) -> None:
    predictions = Predictions(*(part * factor for part in random_predictions(1)))
    assert bool(MultiBoxLoss(PRIORS)(predictions, [as_target(BOX)]).total.isfinite())


def test_bf16_predictions_are_reckoned_in_float32() -> None:
    coarse = Predictions(*(part.bfloat16() for part in random_predictions(2)))
    fine = Predictions(*(part.float() for part in coarse))
    targets = [as_target(BOX), as_target()]
    loss = MultiBoxLoss(PRIORS)
    assert loss(coarse, targets).total == loss(fine, targets).total


@pytest.mark.parametrize("crowd", [False, True])
def test_ignored_prior_gets_no_gradient(crowd: bool) -> None:
    """Though it is the hardest negative by far, and without the object would be taught."""
    found = as_target((0.55, 0.55, 0.95, 0.95))
    passed_over = as_target(BOX, ignore=True, crowd=crowd)
    both = Target(
        torch.cat([found.boxes, passed_over.boxes]),
        torch.zeros(2, dtype=torch.int64),
        torch.tensor([False, True]),
        size=SIZE,
        crowd=torch.tensor([False, crowd]),
    )
    ignored = match(pack_targets([both]), PRIORS).ignored[0]
    assert 0 < int(ignored.sum()) < len(PRIORS) / 2
    predictions = random_predictions(1)
    with torch.no_grad():
        predictions.logits[0, ignored, -1] -= 20
    loss = MultiBoxLoss(PRIORS)
    logits, offsets = gradients(predictions, loss(predictions, [both]))
    assert not logits[0, ignored].any()
    assert not offsets[0, ignored].any()
    assert logits.any()
    logits, _ = gradients(predictions, loss(predictions, [found]))
    assert logits[0, ignored].any()


def test_image_that_is_ignored_all_over_teaches_nothing() -> None:
    """The floor of negatives must not be filled with ignored priors."""
    target = as_target((0, 0, 1, 1), crowd=True)
    assert bool(match(pack_targets([target]), PRIORS).ignored.all())
    predictions = random_predictions(1)
    losses = MultiBoxLoss(PRIORS)(predictions, [target])
    assert losses.total == 0
    assert not any(gradient.any() for gradient in gradients(predictions, losses))


def test_order_of_images_changes_nothing_but_the_order_of_gradients() -> None:
    generator = seeded(0)
    targets = [reference.random_target(generator, count, SIZE, flags=True) for count in (0, 5, 2)]
    predictions = random_predictions(3)
    order = torch.tensor([2, 0, 1])
    loss = MultiBoxLoss(PRIORS)
    straight = loss(predictions, targets)
    turned = loss(Predictions(*(part[order] for part in predictions)), [targets[k] for k in order])
    assert_close(turned.classification, straight.classification)
    assert_close(turned.localisation, straight.localisation)
    for one, other in zip(
        gradients(predictions, straight), gradients(predictions, turned), strict=True
    ):
        assert_close(one, other)


def test_size_of_the_image_does_not_matter() -> None:
    small = as_target(BOX, labels=[1])
    large = Target(small.boxes * 4, small.labels, size=(SIZE[0] * 4, SIZE[1] * 4))
    predictions = random_predictions(1)
    loss = MultiBoxLoss(PRIORS)
    assert_close(loss(predictions, [small]).total, loss(predictions, [large]).total)


def test_priors_move_with_the_module_and_are_not_saved() -> None:
    loss = MultiBoxLoss(PRIORS)
    assert loss.state_dict() == {}
    assert loss.to("meta").priors.device.type == "meta"
