"""Both families together: the dictionary, the table, and what is refused."""

import json

import pytest
import torch

from tests.metrics.samples import detections, perfect, target
from vision.detections import Detections
from vision.metrics import evaluate_detections
from vision.structures import Target

NAMES = ["cat", "a remarkably long-winded class name", "dog"]
TRUTH = [target([(0, 0, 50, 50), (60, 60, 90, 90)], [0, 1]), target([(0, 0, 9, 9)], [0])]


def test_to_dict() -> None:
    metrics = evaluate_detections([perfect(TRUTH[0]), detections()], TRUTH, NAMES)
    result = json.loads(json.dumps(metrics.to_dict(), allow_nan=False))
    assert list(result) == ["coco", "voc", "num_images", "num_classes_with_boxes"]
    assert (result["num_images"], result["num_classes_with_boxes"]) == (2, 2)
    assert result["voc"] == {
        "mAP50": 0.75,
        "mAP50_11pt": pytest.approx((1 + 6 / 11) / 2),
        "per_class": {NAMES[0]: 0.5, NAMES[1]: 1.0, NAMES[2]: None},
    }
    sizes = ["APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]
    assert list(result["coco"]) == ["AP", "AP50", "AP75", *sizes, "per_class"]
    assert result["coco"]["APl"] is None
    # Half of the cats: 51 of the 101 recalls that COCO's code samples are reached.
    assert result["coco"]["per_class"] == {
        NAMES[0]: pytest.approx(51 / 101, abs=1e-6),
        NAMES[1]: 1.0,
        NAMES[2]: None,
    }


TABLE = """\
2 images, 3 boxes

COCO, mean over 2 classes
     AP   AP50   AP75    APs    APm  APl
  0.752  0.752  0.752  0.500  1.000    -
    AR1   AR10  AR100    ARs    ARm  ARl
  0.750  0.750  0.750  0.500  1.000    -

VOC, mean over 2 classes
  mAP50 (area)  mAP50 (11-pt)
         0.750          0.773

class                                boxes  VOC AP50 (area)  VOC AP50 (11-pt)  COCO AP
cat                                      2            0.500             0.545    0.505
a remarkably long-winded class name      1            1.000             1.000    1.000
1 class without a box: dog"""


def test_table() -> None:
    metrics = evaluate_detections([perfect(TRUTH[0]), detections()], TRUTH, NAMES)
    assert metrics.table() == TABLE


def test_many_classes_without_a_box_take_one_line() -> None:
    names = [f"class {label}" for label in range(80)]
    last = evaluate_detections([perfect(TRUTH[0])], [TRUTH[0]], names).table().splitlines()[-1]
    assert last == f"78 classes without a box: {', '.join(names[2:12])}, ..."
    every = evaluate_detections([perfect(TRUTH[0])], [TRUTH[0]], names[:2]).table()
    assert "without a box" not in every


@pytest.mark.parametrize("names", [[], ["only"]])
def test_nothing_to_measure(names: list[str]) -> None:
    metrics = evaluate_detections([], [], names)
    assert metrics.to_dict()["coco"]["AP"] is None
    assert "0 images, 0 boxes" in metrics.table()


@pytest.mark.parametrize(
    ("found", "truth", "names", "message"),
    [
        ([], [target()], ["a"], "expected one Detections for each Target, got 0 Detections and 1"),
        (
            [detections()],
            [target([(0, 0, 9, 9)], [2])],
            ["a", "b"],
            r"targets\[0\] \(''\)\.labels: expected 0 to 1 \(2 classes\), got 2",
        ),
        (
            [detections([(0, 0, 9, 9)], [0.5], [-1])],
            [target()],
            ["a", "b"],
            r"detections\[0\]\.labels: expected 0 to 1 \(2 classes\), got -1",
        ),
        ([], [], ["a", "b", "a"], "names: expected each class once, got a more than once"),
        (
            [Detections.empty((320, 320))],
            [Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), size=(480, 640))],
            ["a"],
            r"refer to an image of \(height, width\) \(320, 320\), their target to one of",
        ),
    ],
)
def test_refuses(
    found: list[Detections], truth: list[Target], names: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate_detections(found, truth, names)
