"""Detections in other libraries' forms and back."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from vision.detections import Detections
from vision.interop import (
    from_coco,
    from_supervision,
    from_torchvision,
    to_coco,
    to_supervision,
    to_torchvision,
)

FOUND = Detections(
    torch.tensor([[1.0, 2, 30, 40], [5, 6, 7, 9]]),
    torch.tensor([0.9, 0.25]),
    torch.tensor([2, 0]),
    (50, 60),
)
EMPTY = Detections.empty((50, 60))


def same(found: Detections, expected: Detections) -> None:
    assert found.size == expected.size
    assert_close(found.boxes, expected.boxes)
    assert_close(found.scores, expected.scores)
    assert torch.equal(found.labels, expected.labels)


@pytest.mark.parametrize("detections", [FOUND, EMPTY])
def test_all_forms_come_back_as_they_were(detections: Detections) -> None:
    same(from_torchvision(to_torchvision(detections), (50, 60)), detections)
    same(from_supervision(to_supervision(detections), (50, 60)), detections)
    ids = [7, 8, 9]
    same(from_coco(to_coco(detections, "a", ids), ids, (50, 60)), detections)


def test_torchvision_counts_labels_from_one() -> None:
    assert to_torchvision(FOUND)["labels"].tolist() == [3, 1]
    with pytest.raises(ValueError, match="background"):
        from_torchvision(FOUND.to_dict())


def test_supervision_gets_names_and_arrays() -> None:
    found = to_supervision(FOUND, ["cat", "dog", "traffic light"])
    assert found.data["class_name"].tolist() == ["traffic light", "cat"]
    assert found.xyxy.tolist() == FOUND.boxes.tolist()
    named = to_supervision(replace(FOUND, names=["cat", "dog", "traffic light"]))
    assert named.data["class_name"].tolist() == found.data["class_name"].tolist()
    assert found[found.confidence > 0.5].class_id.tolist() == [2]
    assert len(to_supervision(EMPTY, ["cat"])) == 0


def test_supervision_without_confidences_is_refused() -> None:
    found = to_supervision(FOUND)
    found.confidence = None
    with pytest.raises(ValueError, match="expected confidence and class_id"):
        from_supervision(found)


def test_coco_has_widths_and_the_files_ids() -> None:
    first, second = to_coco(FOUND, 139, [7, 8, 9])
    assert first["bbox"] == [1, 2, 29, 38]
    assert (first["image_id"], first["category_id"], second["category_id"]) == (139, 9, 7)
    with pytest.raises(ValueError, match="not in list"):
        from_coco([first], [1])


def test_detections_come_sorted() -> None:
    rows = to_coco(FOUND, 1, [7, 8, 9])
    same(from_coco(rows[::-1], [7, 8, 9], (50, 60)), FOUND)
