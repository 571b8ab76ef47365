"""The truth given as detections is perfect by every measure, on real data of both formats."""

from collections.abc import Callable

import pytest
import torch

from tests.shared import SHARED, needs_shared
from vision.detections import Detections
from vision.formats import Annotations, read_coco, read_voc
from vision.metrics import evaluate_detections
from vision.structures import Target

pytestmark = needs_shared


def perfect(target: Target) -> Detections:
    """All boxes that count as detections; each of the others is neither missed nor held against."""
    boxes, labels = target.boxes[~target.ignore], target.labels[~target.ignore]
    return Detections(boxes, torch.ones(len(boxes)), labels, target.size)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("read", "folder", "num_images", "num_names"),
    [(read_voc, "voc07", 700, 20), (read_coco, "coco_mini", 100, 80)],
)
def test_the_truth_itself_is_perfect(
    read: Callable[[str, str], Annotations], folder: str, num_images: int, num_names: int
) -> None:
    found = read(str(SHARED / "data" / folder), "val")
    labels = {name: label for label, name in enumerate(found.names)}
    targets = [record.target(labels) for record in found.records]
    assert any(target.ignore.any() for target in targets)
    metrics = evaluate_detections([perfect(target) for target in targets], targets, found.names)
    assert (metrics.num_images, len(metrics.names)) == (num_images, num_names)

    coco, voc = metrics.coco, metrics.voc
    assert [coco.AP, coco.AP50, coco.AP75] == [1.0] * 3
    assert [coco.APs, coco.APm, coco.APl] == [1.0] * 3
    assert [coco.AR100, coco.ARs, coco.ARm, coco.ARl] == [1.0] * 4
    assert [voc.mean, voc.mean_11pt] == [1.0] * 2
    expected = [1.0 if boxes else None for boxes in voc.num_boxes]
    assert expected.count(1.0) >= 20
    assert coco.per_class == expected
    assert voc.ap == expected
    assert voc.ap_11pt == expected
