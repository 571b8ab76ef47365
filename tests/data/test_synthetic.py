"""The synthetic data set: reproducible from its numbers, with boxes that fit the pixels."""

import dataclasses
from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Bool
from numpy import ndarray

from vision.data.synthetic import SHAPES, make_layout, render_scene
from vision.data.synthetic.layout import PlacedShape
from vision.data.synthetic.rendering import render_shape

SIZES = st.tuples(st.integers(32, 150), st.integers(32, 150))
INDICES = st.integers(0, 10_000)
FINE = 8  # sub-pixels along a pixel


def _mask(shape: PlacedShape, size: tuple[int, int], fine: int) -> Bool[ndarray, "h w"]:
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


def test_one_scene_in_ten_is_empty_and_can_be_rendered() -> None:
    layouts = [make_layout(0, index, (64, 64)) for index in range(500)]
    empty = [index for index, layout in enumerate(layouts) if not layout.shapes]
    assert 30 <= len(empty) <= 70
    assert layouts[empty[0]].boxes.shape == (0, 4)
    assert layouts[empty[0]].labels.shape == (0,)
    assert np.ptp(render_scene(0, empty[0], (64, 64))) > 0


def test_classes_are_balanced_and_counts_go_up_to_six() -> None:
    layouts = [make_layout(1, index, (64, 96)) for index in range(600)]
    labels = Counter(int(label) for layout in layouts for label in layout.labels)
    assert sorted(labels) == list(range(len(SHAPES)))
    assert all(0.2 < count / labels.total() < 0.3 for count in labels.values())
    assert {len(layout.shapes) for layout in layouts} == set(range(7))


@pytest.mark.parametrize("size", [(31, 64), (64, 31), (0, 0)])
def test_too_small_a_scene_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 32"):
        make_layout(0, 0, size)


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (0, -1)])
def test_negative_numbers_are_refused(seed: int, index: int) -> None:
    with pytest.raises(ValueError, match="negative"):
        render_scene(seed, index, (64, 64))


@given(st.integers(0, 2**63), INDICES, SIZES)
@settings(max_examples=30, deadline=None)
def test_a_scene_follows_from_its_numbers_alone(
    seed: int, index: int, size: tuple[int, int]
) -> None:
    layout, image = make_layout(seed, index, size), render_scene(seed, index, size)
    cv2.setRNGSeed(index)
    render_scene(seed, index + 1, size)
    again = make_layout(seed, index, size)
    np.testing.assert_array_equal(again.boxes, layout.boxes)
    np.testing.assert_array_equal(again.labels, layout.labels)
    np.testing.assert_array_equal(render_scene(seed, index, size), image)


@pytest.mark.parametrize("other", [(5, 1, (64, 64)), (4, 2, (64, 64)), (4, 1, (64, 65))])
def test_other_numbers_give_another_scene(other: tuple[int, int, tuple[int, int]]) -> None:
    assert not np.array_equal(render_scene(*other), render_scene(4, 1, (64, 64)))


@given(INDICES, SIZES)
@settings(max_examples=80, deadline=None)
def test_boxes_lie_inside_and_have_the_promised_sides(index: int, size: tuple[int, int]) -> None:
    assert render_scene(3, index, size).shape == (*size, 3)
    x0, y0, x1, y1 = make_layout(3, index, size).boxes.T
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
    for shape in make_layout(5, index, size).shapes:
        expected = _extremes(_mask(shape, size, FINE), FINE)
        np.testing.assert_allclose(shape.box, expected, atol=0.5)


@given(INDICES, SIZES)
@settings(max_examples=60, deadline=None)
def test_boxes_are_tight_around_the_rendered_pixels(index: int, size: tuple[int, int]) -> None:
    for shape in make_layout(6, index, size).shapes:
        image = np.zeros((*size, 3), np.uint8)
        rng = np.random.default_rng(index)
        render_shape(rng, image, dataclasses.replace(shape, colour=(255, 255, 255)))
        rendered = image.max(axis=2)
        assert _contains(shape.box.tolist(), _extremes(rendered > 0), slack=1.0)
        assert _contains(_extremes(rendered > 12), shape.box.tolist(), slack=1.5)


def _contains(outer: list[float], inner: list[float], slack: float) -> bool:
    starts = all(o - slack <= i for o, i in zip(outer[:2], inner[:2], strict=True))
    return starts and all(o + slack >= i for o, i in zip(outer[2:], inner[2:], strict=True))


def test_nothing_is_nearly_hidden() -> None:
    size = (128, 160)
    for index in range(150):
        masks = [_mask(shape, size, 1) for shape in make_layout(7, index, size).shapes]
        covered = np.zeros(size, bool)
        for mask in reversed(masks):
            assert (mask & ~covered).sum() >= 0.36 * mask.sum()
            covered |= mask


def test_shapes_stand_out_from_the_background() -> None:
    contrasts = [
        min(
            sum(abs(a - b) for a, b in zip(shape.colour, c, strict=True)) for c in layout.background
        )
        for layout in (make_layout(8, index, (64, 64)) for index in range(100))
        for shape in layout.shapes
    ]
    assert np.mean(np.array(contrasts) >= 150) > 0.8
