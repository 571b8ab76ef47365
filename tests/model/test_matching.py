"""Which prior learns which object: against torchvision, a greedy search, and by hand."""

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection._utils import SSDMatcher
from torchvision.ops import box_iou

import vision.boxes as box_ops
from tests import reference_model as reference
from tests.dispatch import CountedOperations
from tests.reference_model import seeded
from vision.model import match, prior_boxes
from vision.model.matching import CHUNK_PAIRS, match_on_gpu
from vision.structures import Target, pack_targets

SEEDS = st.integers(0, 10_000)
# A power of two, so that overlaps come out exact, at a threshold too.
SIZE = (128, 256)
PRIORS = prior_boxes([(12, 12), (6, 6), (3, 3), (2, 2), (1, 1), (1, 1)])

Box = tuple[float, float, float, float]


def as_target(*boxes: Box, ignore: tuple[bool, ...] = (), crowd: tuple[bool, ...] = ()) -> Target:
    """Objects of one class; boxes as fractions of the image."""
    fractions = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    flags = [
        torch.tensor(some or (False,) * len(boxes), dtype=torch.bool) for some in (ignore, crowd)
    ]
    labels = torch.zeros(len(boxes), dtype=torch.int64)
    pixels = box_ops.scale(fractions, (1, 1), SIZE)
    return Target(pixels, labels, flags[0], size=SIZE, crowd=flags[1])


def as_priors(*boxes: Box) -> Tensor:
    """Priors in centre form from corners."""
    return box_ops.to_centre(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))


def objects_of(target: Target, priors: Tensor) -> list[int]:
    found: list[int] = match(pack_targets([target]), priors).objects[0].tolist()
    return found


def ignored_by(target: Target, priors: Tensor) -> list[bool]:
    found: list[bool] = match(pack_targets([target]), priors).ignored[0].tolist()
    return found


# Boxes of falling IoU with A: 3/4, 1/2, 3/8, 0.
A = (0.0, 0.0, 0.5, 0.5)
NEAR_A = (0.0, 0.0, 0.5, 0.375)
HALF_A = (0.0, 0.0, 0.5, 0.25)
THIRD_A = (0.0, 0.0, 0.5, 0.1875)
FAR = (0.625, 0.625, 0.875, 0.875)


@pytest.mark.parametrize(
    ("target", "priors", "expected"),
    [
        pytest.param(as_target(), as_priors(A, FAR), [-1, -1], id="no object"),
        pytest.param(as_target(A), as_priors(A, FAR), [0, -1], id="one object"),
        pytest.param(
            as_target(A), as_priors(A, NEAR_A, HALF_A, THIRD_A), [0, 0, 0, -1], id="IoU from .5 on"
        ),
        pytest.param(
            as_target(A), as_priors(FAR, THIRD_A), [-1, 0], id="the best prior, whatever its IoU"
        ),
        pytest.param(
            as_target(NEAR_A, A),
            as_priors(A, NEAR_A),
            [1, 0],
            id="each prior takes its best object",
        ),
        pytest.param(
            as_target(THIRD_A, HALF_A),
            as_priors(A, (0.25, 0.0, 0.75, 0.1875)),
            [1, 0],
            id="two want one: the greater IoU wins and the loser takes its next best",
        ),
        pytest.param(
            as_target(A, A), as_priors(A, NEAR_A, FAR), [0, 1, -1], id="the same object twice"
        ),
        pytest.param(
            as_target(A, A, A), as_priors(A, FAR), [0, -1], id="no overlap, no forced prior"
        ),
        pytest.param(as_target(A, FAR, A), as_priors(A), [0], id="more objects than priors"),
    ],
)
def test_objects_by_hand(target: Target, priors: Tensor, expected: list[int]) -> None:
    found = objects_of(target, priors)
    # Of two equal boxes either may win: what counts is which priors learn.
    if len(target) > 1 and torch.equal(target.boxes[0], target.boxes[-1]):
        assert [k >= 0 for k in found] == [k >= 0 for k in expected]
        assert len(set(found)) == len(set(expected))
    else:
        assert found == expected


@given(SEEDS, st.integers(1, 4))
def test_equals_torchvision_where_best_priors_are_distinct(seed: int, count: int) -> None:
    generator = seeded(seed)
    # Sides from a third of the image on: smaller objects fit into several priors of equal IoU.
    sides = 0.35 + 0.5 * torch.rand(count, 2, generator=generator)
    corner = (1 - sides) * torch.rand(count, 2, generator=generator)
    boxes = torch.cat([corner, corner + sides], dim=1)
    target = Target(boxes, torch.zeros(count, dtype=torch.int64), size=(1, 1))
    overlaps = box_iou(boxes, box_ops.to_corners(PRIORS))
    assume(len(set(overlaps.argmax(dim=1).tolist())) == count)
    assert objects_of(target, PRIORS) == SSDMatcher(0.5)(overlaps).tolist()


@given(SEEDS, st.integers(0, 9), st.sampled_from([1, 4, 12, 60]))
@example(seed=3, count=9, num_priors=4)
def test_equals_the_greedy_search_in_all_cases(seed: int, count: int, num_priors: int) -> None:
    """Objects lie in close pairs, so they compete; some are ignored; priors may be too few."""
    generator = seeded(seed)
    target = reference.random_target(generator, count, flags=True)
    priors = reference.random_priors(generator, num_priors)
    objects, ignored = reference.match(target, priors)
    assert objects_of(target, priors) == objects
    assert ignored_by(target, priors) == ignored


@given(SEEDS, st.integers(2, 6))
def test_every_sound_object_gets_a_prior_of_its_own(seed: int, count: int) -> None:
    """Small ones, of which several share their best prior, and equal ones too."""
    generator = seeded(seed)
    centre = torch.rand(count, 2, generator=generator) * torch.tensor([300, 200]) + 10
    side = 1 + 8 * torch.rand(count, 2, generator=generator)
    boxes = torch.cat([centre - side / 2, centre + side / 2], dim=1)
    boxes[1] = boxes[0]
    target = Target(boxes, torch.zeros(count, dtype=torch.int64), size=(220, 320))
    assert set(objects_of(target, PRIORS)) == {-1, *range(count)}


@pytest.mark.parametrize("count", [5, 30, 200])
def test_crowded_image_serves_as_many_objects_as_there_are_priors(count: int) -> None:
    """All objects and priors overlap in the middle."""
    boxes = 0.4 - 0.3 * torch.rand(count, 2, generator=seeded(0))
    target = Target(
        torch.cat([boxes, 1 - boxes], dim=1), torch.zeros(count, dtype=torch.int64), size=(1, 1)
    )
    priors = torch.cat([torch.full((30, 2), 0.5), torch.rand(30, 2, generator=seeded(1))], dim=1)
    found = objects_of(target, priors)
    assert len(set(found) - {-1}) == min(count, 30)


@given(SEEDS, st.lists(st.integers(0, 6), min_size=1, max_size=4))
def test_images_of_a_batch_are_matched_alone(seed: int, counts: list[int]) -> None:
    generator = seeded(seed)
    targets = [reference.random_target(generator, count, flags=True) for count in counts]
    priors = reference.random_priors(generator, 40)
    together = match(pack_targets(targets), priors)
    for row, target in enumerate(targets):
        first = sum(counts[:row])
        alone = [first + k if k >= 0 else k for k in objects_of(target, priors)]
        assert together.objects[row].tolist() == alone
        assert together.ignored[row].tolist() == ignored_by(target, priors)


@given(SEEDS, st.lists(st.integers(0, 25), min_size=1, max_size=4), st.sampled_from([1, 7, 2048]))
@settings(max_examples=40)
def test_cpu_and_gpu_find_the_same(seed: int, counts: list[int], at_once: int) -> None:
    """All at once, and on the CPU in parts; boxes lie on a grid, so that many overlap alike."""
    generator = seeded(seed)
    targets = []
    for count in counts:
        target = reference.random_target(generator, count, flags=True)
        on_grid = replace(target, boxes=(target.boxes / 32).round() * 32)
        targets.append(on_grid if seed % 2 else target)
    packed, priors = pack_targets(targets), reference.random_priors(generator, 50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vision.model.matching_cpu.MAX_OBJECTS", at_once)
        patch.setattr("vision.model.matching_cpu.MIN_PAIRS", 20 * at_once)
        patch.setattr("vision.model.matching_cpu.STRIDE", 3)
        found = match(packed, priors)
        ignored_at_once = found.ignored
        patch.setattr("vision.model.matching.CHUNK_PAIRS", 1)
        assert torch.equal(match(packed, priors).ignored, ignored_at_once)
    assert torch.equal(found.objects, match_on_gpu(packed, priors, 0.5))


@given(SEEDS, st.integers(20, 60), st.sampled_from([9, 2048]))
@settings(max_examples=15)
def test_a_crowded_image_equals_the_greedy_search(seed: int, count: int, at_once: int) -> None:
    generator = seeded(seed)
    target = reference.random_target(generator, count, flags=True)
    priors = reference.random_priors(generator, 30)
    objects, ignored = reference.match(target, priors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vision.model.matching_cpu.MAX_OBJECTS", at_once)
        patch.setattr("vision.model.matching_cpu.MIN_PAIRS", 20 * at_once)
        patch.setattr("vision.model.matching_cpu.STRIDE", 3)
        assert objects_of(target, priors) == objects
        assert ignored_by(target, priors) == ignored


def crowd_of(count: int) -> Target:
    """Almost equal boxes, which all bid for the same priors."""
    start = 0.2 + 0.01 * torch.rand(count, 2, generator=seeded(0))
    return Target(
        torch.cat([start, start + 0.5], dim=1), torch.zeros(count, dtype=torch.int64), size=(1, 1)
    )


def test_work_grows_with_the_pairs_alone() -> None:
    """Not with the rounds that objects need until each has a prior of its own."""
    with CountedOperations() as mode:
        found = match(pack_targets([crowd_of(300), crowd_of(2)]), PRIORS)
    assert (found.objects >= 0).sum(dim=1).tolist()[0] > 200
    assert mode.elements < 15 * 302 * len(PRIORS)


@pytest.mark.parametrize("flags", [False, True])
def test_memory_does_not_grow_with_objects_times_priors(flags: bool) -> None:
    crowd = crowd_of(5_000)
    if flags:
        crowd = replace(crowd, ignore=torch.ones(5_000, dtype=torch.bool))
    with CountedOperations() as mode:
        found = match(pack_targets([crowd]), PRIORS)
    assert found.ignored.any() if flags else (found.objects >= 0).any()
    assert mode.largest <= CHUNK_PAIRS


def test_no_images_no_matches() -> None:
    found = match(pack_targets([]), PRIORS)
    assert found.objects.shape == found.ignored.shape == (0, len(PRIORS))


@pytest.mark.parametrize(("threshold", "expected"), [(0.3, [0, 0, 0]), (0.6, [0, 0, -1])])
def test_threshold_can_be_chosen(threshold: float, expected: list[int]) -> None:
    found = match(pack_targets([as_target(A)]), as_priors(A, NEAR_A, HALF_A), threshold)
    assert found.objects[0].tolist() == expected


# A region that covers the left half of the image, and a small prior inside.
REGION = (0.0, 0.0, 0.5, 1.0)
INSIDE = (0.1, 0.1, 0.3, 0.3)
HALF_INSIDE = (0.375, 0.125, 0.625, 0.375)
MOSTLY_INSIDE = (0.35, 0.1, 0.6, 0.3)
MOSTLY_OUTSIDE = (0.45, 0.1, 0.65, 0.3)


@pytest.mark.parametrize(
    ("target", "priors", "expected"),
    [
        pytest.param(as_target(), as_priors(A), [False], id="no object"),
        pytest.param(as_target(A), as_priors(A, FAR), [False, False], id="nothing to ignore"),
        pytest.param(
            as_target(A, ignore=(True,)),
            as_priors(A, NEAR_A, HALF_A, THIRD_A, FAR),
            [True, True, True, False, False],
            id="difficult: by IoU",
        ),
        pytest.param(
            as_target(REGION, ignore=(True,)),
            as_priors(REGION, INSIDE, MOSTLY_INSIDE),
            [True, False, False],
            id="difficult: a small prior inside stays a negative",
        ),
        pytest.param(
            as_target(REGION, ignore=(True,), crowd=(True,)),
            as_priors(REGION, INSIDE, MOSTLY_INSIDE, HALF_INSIDE, MOSTLY_OUTSIDE, FAR),
            [True, True, True, True, False, False],
            id="crowd: by the share of the prior's own area",
        ),
        pytest.param(
            as_target(A, A, ignore=(False, True)),
            as_priors(A, FAR),
            [False, False],
            id="a positive prior is not ignored",
        ),
    ],
)
def test_ignored_by_hand(target: Target, priors: Tensor, expected: list[bool]) -> None:
    assert ignored_by(target, priors) == expected


@pytest.mark.parametrize("crowd", [False, True])
def test_ignored_objects_are_never_positive(crowd: bool) -> None:
    target = as_target(A, FAR, ignore=(True, False), crowd=(crowd, False))
    assert objects_of(target, as_priors(A, FAR)) == [-1, 1]


DEGENERATE = [
    pytest.param((0.3, 0.3, 0.3, 0.3), id="a point"),
    pytest.param((0.3, 0.3, 0.3, 0.6), id="a line"),
    pytest.param((0.6, 0.6, 0.3, 0.3), id="crossed corners"),
    pytest.param((0.3, 0.6, 0.6, 0.3), id="one side crossed"),
]


@pytest.mark.parametrize("box", DEGENERATE)
@pytest.mark.parametrize(("ignore", "crowd"), [(False, False), (True, False), (True, True)])
def test_degenerate_box_is_no_object_and_takes_no_prior(
    box: Box, ignore: bool, crowd: bool
) -> None:
    target = as_target(box, A, ignore=(ignore, False), crowd=(crowd, False))
    assert objects_of(target, as_priors(A, FAR, (0.2, 0.2, 0.7, 0.7))) == [1, -1, -1]
    assert ignored_by(target, as_priors(A, FAR, (0.2, 0.2, 0.7, 0.7))) == [False] * 3


def test_result_does_not_depend_on_the_order_of_objects() -> None:
    target = reference.random_target(seeded(5), 5)
    priors = reference.random_priors(seeded(6), 50)
    expected = objects_of(target, priors)
    for order in itertools.islice(itertools.permutations(range(5)), 0, 120, 17):
        picked = torch.tensor(order)
        turned = Target(target.boxes[picked], target.labels[picked], size=target.size)
        found = objects_of(turned, priors)
        assert [order[k] if k >= 0 else -1 for k in found] == expected


def test_of_priors_that_overlap_alike_the_first_is_forced() -> None:
    """Two equal priors, apart in the list: the choice must not hang on how a sort is made."""
    far, near = [0.5, 0.5, 0.9, 0.9], [0.25, 0.25, 0.5, 0.5]
    priors = torch.tensor([far] * 3 + [near] + [far] * 40 + [near] * 20)
    target = Target(torch.tensor([[10.0, 10.0, 30.0, 30.0]]), torch.tensor([0]), size=(100, 100))
    objects = match(pack_targets([target]), priors, 0.9).objects
    assert (objects[0] >= 0).nonzero().flatten().tolist() == [3]
