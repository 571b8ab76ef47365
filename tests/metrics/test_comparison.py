"""Two detectors on the same images: the paired interval, and the mistakes in each image."""

from collections.abc import Sequence

import numpy as np
import pytest

from tests.metrics.samples import detections, perfect, random_data, target, without_ties
from vision.detections import Detections
from vision.errors import DataError
from vision.metrics import evaluate_detections
from vision.metrics.comparison import Item, compare_detections
from vision.structures import Target

NAMES = ("a", "b", "c")
LEFT, MIDDLE, RIGHT = (
    (0.0, 0.0, 50.0, 50.0),
    (100.0, 0.0, 150.0, 50.0),
    (200.0, 0.0, 250.0, 50.0),
)


def flawed(truth: Sequence[Target], every: int) -> list[Detections]:
    """The truth as detections; in every so many images nothing is found."""
    return [detections() if index % every == 0 else perfect(one) for index, one in enumerate(truth)]


def test_a_detector_does_not_differ_from_itself() -> None:
    found, truth = random_data(3, 12, crowds=True)
    result = compare_detections(found, found, truth, NAMES, 30)
    for difference in result.differences.values():
        assert difference.change == difference.low == difference.high == 0
        assert 0 < difference.first < 1
        assert not difference.is_clear
    assert result.changed_images() == []
    assert result.metrics[0] == result.metrics[1] == evaluate_detections(found, truth, NAMES)


def test_the_interval_is_that_of_differences_on_the_same_resamples() -> None:
    """By evaluating each resample on its own, image by image."""
    found, truth = random_data(8, 7)
    first = without_ties(found, 8)
    second = [one[:2] for one in first]
    draws = np.random.default_rng(0).integers(0, len(truth), (8, len(truth)))
    changes = []
    for rows in draws:
        images = [truth[row] for row in rows]
        values = [
            evaluate_detections([found[row] for row in rows], images, NAMES)
            for found in (first, second)
        ]
        voc = [value.voc.mean for value in values]
        coco = [value.coco.AP for value in values]
        changes.append([(after or 0) - (before or 0) for before, after in (voc, coco)])
    result = compare_detections(first, second, truth, NAMES, 8)
    ends = np.quantile(changes, (0.025, 0.975), axis=0)
    lows, highs = zip(*(each[2:] for each in result.differences.values()), strict=True)
    np.testing.assert_allclose([lows, highs], ends, atol=1e-12)
    assert list(result.differences) == ["voc.mAP50", "coco.AP"]


@pytest.mark.parametrize("every", [2, 4])
def test_a_worse_detector_is_told_from_a_better_one(every: int) -> None:
    _, truth = random_data(5, 20)
    good, bad = [perfect(one) for one in truth], flawed(truth, every)
    for pair, sign in (((good, bad), -1), ((bad, good), 1)):
        result = compare_detections(*pair, truth, NAMES, 40)
        for difference in result.differences.values():
            assert difference.is_clear
            assert np.sign(difference.change) == sign
            assert difference.low <= difference.change <= difference.high


def test_mistakes_are_counted_at_the_best_thresholds() -> None:
    """Of class a both do best with all that scores .6 and more, of b with all at all."""
    truth = [
        target([LEFT, MIDDLE], [0, 1]),
        target([LEFT], [0]),
        target([LEFT, RIGHT], [0, 0], [False, True]),
        target(),
    ]
    first = [
        detections([LEFT, RIGHT], [0.9, 0.2], [0, 0]),  # b is missed; .2 is below the threshold
        detections([LEFT, RIGHT], [0.8, 0.7], [0, 0]),  # one wrong
        detections([LEFT, RIGHT], [0.6, 0.6], [0, 0]),  # the right one is ignored
        detections(),
    ]
    second = [
        detections([LEFT, MIDDLE], [0.9, 0.3], [0, 1]),
        detections([LEFT], [0.8], [0]),
        detections([LEFT, RIGHT], [0.6, 0.6], [0, 0]),
        detections([LEFT, MIDDLE], [0.95, 0.95], [0, 0]),  # two wrong
    ]
    result = compare_detections(first, second, truth, NAMES, 2)
    assert result.count_mistakes().tolist() == [[1, 1, 0, 0], [0, 0, 0, 2]]
    assert result.changed_images() == [3, 0, 1]
    before, after = (outcomes.of_image(0) for outcomes in result.outcomes)
    assert before.right == [Item(0, LEFT, float(np.float32(0.9)))]
    assert before.wrong == after.wrong == after.missed == []
    assert before.missed == [Item(1, MIDDLE, None)]
    assert [item.label for item in after.right] == [0, 1]
    assert result.outcomes[0].of_image(1).wrong == [Item(0, RIGHT, float(np.float32(0.7)))]
    ignored = result.outcomes[0].of_image(2)
    assert ignored.right == [Item(0, LEFT, float(np.float32(0.6)))]
    assert ignored.wrong == ignored.missed == []


def test_without_boxes_there_is_nothing_to_compare_on() -> None:
    truth = [target([LEFT], [0], [True]), target()]
    found = [perfect(one) for one in truth]
    with pytest.raises(DataError, match=r"no boxes to compare on.* boxes of a, b, c"):
        compare_detections(found, found, truth, NAMES, 2)
