"""Conversion of `Detections` to and from supervision, torchvision and COCO results."""

# n detections of one image

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

import vision.boxes as box_ops
from vision.detections import Detections
from vision.extras import require_package

__all__ = [
    "from_coco",
    "from_supervision",
    "from_torchvision",
    "to_coco",
    "to_supervision",
    "to_torchvision",
]


def to_torchvision(detections: Detections) -> dict[str, Tensor]:
    """Return a dictionary as torchvision's detectors do: labels start at 1; 0 is background."""
    columns = detections.to_dict()
    return columns | {"labels": columns["labels"] + 1}


def from_torchvision(
    columns: Mapping[str, Tensor], size: tuple[int, int] | None = None
) -> Detections:
    """Detections from a torchvision detector's dictionary, whose labels start at 1.

    Args:
        columns: ``boxes`` (n, 4), ``xyxy`` in pixels; ``scores`` (n,); ``labels`` (n,).
        size: (height, width) of the image, if known.

    Raises:
        ValueError: If a label is 0 (background), or shapes do not match.
    """
    labels = columns["labels"].long() - 1
    if len(labels) and int(labels.min()) < 0:
        raise ValueError("labels: expected 1 or above, as in torchvision, got 0, the background")
    return _sorted(columns["boxes"].float(), columns["scores"].float(), labels, size)


def to_supervision(detections: Detections, names: Sequence[str] | None = None) -> Any:  # noqa: ANN401
    """A `supervision.Detections`; ``data["class_name"]`` holds the names, if they are known.

    Args:
        detections: Detections of one image.
        names: Class names in label order; None for the detections' own names.

    Raises:
        ConfigError: If supervision is not installed.
    """
    supervision = require_package("supervision", "supervision")
    labels = detections.labels.numpy()
    names = detections.names if names is None else names
    data = {} if names is None else {"class_name": np.array(names, dtype=str)[labels]}
    return supervision.Detections(
        xyxy=detections.boxes.numpy(),
        confidence=detections.scores.numpy(),
        class_id=labels,
        data=data,
    )


def from_supervision(detections: Any, size: tuple[int, int] | None = None) -> Detections:  # noqa: ANN401
    """Detections from a `supervision.Detections`.

    Args:
        detections: Must have confidences and class ids; masks and tracks are ignored.
        size: (height, width) of the image, if known.

    Raises:
        ValueError: If confidences or class ids are missing.
    """
    if not len(detections):
        return Detections.empty(size)
    if detections.confidence is None or detections.class_id is None:
        raise ValueError("supervision.Detections: expected confidence and class_id, found None")
    return _sorted(
        torch.as_tensor(detections.xyxy).float(),
        torch.as_tensor(detections.confidence).float(),
        torch.as_tensor(detections.class_id).long(),
        size,
    )


def to_coco(
    detections: Detections, image_id: int | str, category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Convert detections to COCO results; ``bbox`` is ``[x, y, width, height]``.

    Args:
        detections: Detections of one image.
        image_id: The image's id in the annotation file.
        category_ids: The id of each class, in label order.
    """
    labels, scores = detections.labels.tolist(), detections.scores.tolist()
    boxes = box_ops.xyxy_to_xywh(detections.boxes.double()).tolist()
    return [
        {"image_id": image_id, "category_id": category_ids[label], "bbox": box, "score": score}
        for label, score, box in zip(labels, scores, boxes, strict=True)
    ]


def from_coco(
    results: Sequence[Mapping[str, Any]],
    category_ids: Sequence[int],
    size: tuple[int, int] | None = None,
) -> Detections:
    """Detections from COCO results of one image.

    Args:
        results: Results in the form of `to_coco`, in any order.
        category_ids: The id of each class, in label order.
        size: (height, width) of the image, if known.

    Raises:
        ValueError: If a result has an id that is not in ``category_ids``.
    """
    labels = torch.tensor([category_ids.index(row["category_id"]) for row in results]).long()
    boxes = torch.tensor([row["bbox"] for row in results], dtype=torch.float32).reshape(-1, 4)
    scores = torch.tensor([row["score"] for row in results], dtype=torch.float32)
    return _sorted(box_ops.xywh_to_xyxy(boxes), scores, labels, size)


def _sorted(
    boxes: Tensor, scores: Tensor, labels: Tensor, size: tuple[int, int] | None
) -> Detections:
    order = scores.argsort(descending=True, stable=True)
    return Detections(boxes[order], scores[order], labels[order], size)
