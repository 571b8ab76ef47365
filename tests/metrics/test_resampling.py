"""The bootstrap: each draw is what the metrics say of its images, and its interval."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.samples import detections, perfect, random_data, target, without_ties
from vision.metrics import bootstrap, coco_ap, interval, voc_ap
from vision.structures import Target

SEEDS = st.integers(0, 2**32 - 1)
BOX = target([(0, 0, 50, 50)], [0])
IGNORED = target([(0, 0, 50, 50)], [0], [True])


@settings(max_examples=8)
@given(SEEDS, st.integers(1, 7))
def test_each_draw_is_measured_as_its_images_would_be_alone(seed: int, num_images: int) -> None:
    found, truth = random_data(seed, num_images, crowds=True)
    found = without_ties(found, seed)
    values = bootstrap(found, truth, 3, 4)
    random = np.random.default_rng(0)
    draws = [np.arange(num_images), *random.integers(0, num_images, (4, num_images))]
    expected = []
    for rows in draws:
        drawn = [found[row] for row in rows], [truth[row] for row in rows], 3
        expected.append([voc_ap(*drawn).mean, coco_ap(*drawn).AP])
    np.testing.assert_allclose(values, np.array(expected, np.float64), rtol=0, atol=1e-12)


def test_draws_without_a_box_to_find_are_not_numbers_and_do_not_count() -> None:
    truth = [BOX, IGNORED, target()]
    values = bootstrap([perfect(one) for one in truth], truth, 2, 50)
    assert values.shape == (51, 2)
    assert values[0].tolist() == [1, 1]
    absent = np.isnan(values)
    assert (absent[:, 0] == absent[:, 1]).all()
    assert 0 < absent[:, 0].sum() < 50
    assert (values[~absent] == 1).all()
    assert interval(values[1:, 0]) == (1, 1)


@pytest.mark.parametrize("truth", [[], [IGNORED], [target(), target()]])
def test_without_any_box_to_find_there_is_no_number(truth: list[Target]) -> None:
    values = bootstrap([perfect(one) for one in truth], truth, 2, 3)
    assert values.shape == (4, 2)
    assert np.isnan(values).all()
    assert np.isnan(interval(values[1:, 1])).all()


def test_nothing_found_is_worth_nothing() -> None:
    assert (bootstrap([detections()] * 3, [BOX] * 3, 1, 5) == 0).all()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="got 1 Detections and 2 Targets"):
        bootstrap([detections()], [BOX, BOX], 1, 5)


def test_the_interval_is_the_middle_of_the_draws() -> None:
    values = np.random.default_rng(0).permutation(np.append(np.arange(101.0), [np.nan] * 9))
    assert interval(values) == pytest.approx((2.5, 97.5))
