"""The drawn data set: the same from the same numbers, and boxes that fit what is painted."""

from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Bool
from numpy import ndarray

from vision.data import painting
from vision.data.scenes import SHAPES, PlannedShape, draw_scene, plan_scene

SIZES = st.tuples(st.integers(32, 150), st.integers(32, 150))
INDICES = st.integers(0, 10_000)
FINE = 8  # sub-pixels along a pixel


def _mask(shape: PlannedShape, size: tuple[int, int], fine: int) -> Bool[ndarray, "h w"]:
    """Which cells of a raster, ``fine`` to a pixel, lie inside a shape's outline."""
    mask = np.zeros((size[0] * fine, size[1] * fine), np.uint8)
    corners = np.round((shape.outline * fine - 0.5) * 256).astype(np.int32)
    cv2.fillPoly(mask, [corners], (1,), shift=8)
    return mask.astype(bool)


def _extremes(mask: Bool[ndarray, "h w"], fine: int = 1) -> list[float]:
    """``xyxy`` around the cells that are set, in pixels."""
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    edges = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    return [float(edge) / fine for edge in edges]


def test_one_scene_in_ten_is_empty_and_can_be_drawn() -> None:
    plans = [plan_scene(0, index, (64, 64)) for index in range(500)]
    empty = [index for index, plan in enumerate(plans) if not plan.shapes]
    assert 30 <= len(empty) <= 70
    scene = draw_scene(0, empty[0], (64, 64))
    assert scene.boxes.shape == (0, 4)
    assert scene.labels.shape == (0,)
    assert np.ptp(scene.image) > 0


def test_classes_are_balanced_and_counts_go_up_to_six() -> None:
    plans = [plan_scene(1, index, (64, 96)) for index in range(600)]
    labels = Counter(int(label) for plan in plans for label in plan.labels)
    assert sorted(labels) == list(range(len(SHAPES)))
    assert all(0.2 < count / labels.total() < 0.3 for count in labels.values())
    assert {len(plan.shapes) for plan in plans} == set(range(7))


@pytest.mark.parametrize("size", [(31, 64), (64, 31), (0, 0)])
def test_too_small_a_scene_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 32"):
        plan_scene(0, 0, size)


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (0, -1)])
def test_negative_numbers_are_refused(seed: int, index: int) -> None:
    with pytest.raises(ValueError, match="negative"):
        draw_scene(seed, index, (64, 64))


@given(st.integers(0, 2**63), INDICES, SIZES)
@settings(max_examples=30, deadline=None)
def test_a_scene_follows_from_its_numbers_alone(
    seed: int, index: int, size: tuple[int, int]
) -> None:
    first = draw_scene(seed, index, size)
    cv2.setRNGSeed(index)
    draw_scene(seed, index + 1, size)
    again, plan = draw_scene(seed, index, size), plan_scene(seed, index, size)
    for scene in (again, plan):
        np.testing.assert_array_equal(scene.boxes, first.boxes)
        np.testing.assert_array_equal(scene.labels, first.labels)
    np.testing.assert_array_equal(again.image, first.image)


@pytest.mark.parametrize("other", [(5, 1, (64, 64)), (4, 2, (64, 64)), (4, 1, (64, 65))])
def test_other_numbers_give_another_scene(other: tuple[int, int, tuple[int, int]]) -> None:
    scene = draw_scene(4, 1, (64, 64))
    assert not np.array_equal(draw_scene(*other).image, scene.image)


@given(INDICES, SIZES)
@settings(max_examples=80, deadline=None)
def test_boxes_lie_inside_and_have_the_promised_sides(index: int, size: tuple[int, int]) -> None:
    scene = draw_scene(3, index, size)
    assert scene.image.shape == (*size, 3)
    x0, y0, x1, y1 = scene.boxes.T
    assert (x0 >= 0).all()
    assert (y0 >= 0).all()
    assert (x1 <= size[1]).all()
    assert (y1 <= size[0]).all()
    longer, shorter = np.maximum(x1 - x0, y1 - y0), np.minimum(x1 - x0, y1 - y0)
    assert (longer >= 0.2 * 0.8 * min(size)).all()  # a border cuts off a tenth on each side
    assert (longer <= 0.5 * min(size) + 1e-3).all()
    assert (shorter >= 0.5 * longer).all()


@given(INDICES, SIZES)
@settings(max_examples=60, deadline=None)
def test_boxes_are_tight_around_the_outlines(index: int, size: tuple[int, int]) -> None:
    for shape in plan_scene(5, index, size).shapes:
        expected = _extremes(_mask(shape, size, FINE), FINE)
        np.testing.assert_allclose(shape.box, expected, atol=0.5)


@given(INDICES, SIZES)
@settings(max_examples=60, deadline=None)
def test_boxes_are_tight_around_what_is_painted(index: int, size: tuple[int, int]) -> None:
    for shape in plan_scene(6, index, size).shapes:
        image = np.zeros((*size, 3), np.uint8)
        rng = np.random.default_rng(index)
        painting.paint_shape(rng, image, shape.outline, shape.box, (255, 255, 255))
        painted = image.max(axis=2)
        assert _contains(shape.box.tolist(), _extremes(painted > 0), slack=1.0)
        assert _contains(_extremes(painted > 12), shape.box.tolist(), slack=1.5)


def _contains(outer: list[float], inner: list[float], slack: float) -> bool:
    starts = all(o - slack <= i for o, i in zip(outer[:2], inner[:2], strict=True))
    return starts and all(o + slack >= i for o, i in zip(outer[2:], inner[2:], strict=True))


def test_nothing_is_nearly_hidden() -> None:
    size = (128, 160)
    for index in range(150):
        masks = [_mask(shape, size, 1) for shape in plan_scene(7, index, size).shapes]
        covered = np.zeros(size, bool)
        for mask in reversed(masks):
            assert (mask & ~covered).sum() >= 0.36 * mask.sum()
            covered |= mask


def test_shapes_stand_out_from_the_ground() -> None:
    contrasts = [
        min(sum(abs(a - b) for a, b in zip(shape.colour, c, strict=True)) for c in plan.ground)
        for plan in (plan_scene(8, index, (64, 64)) for index in range(100))
        for shape in plan.shapes
    ]
    assert np.mean(np.array(contrasts) >= 150) > 0.8
