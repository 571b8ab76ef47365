"""The data types shared by all packages: targets, detections and predictions."""

# N batch, P priors, C classes, n boxes of one image

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

import vision.boxes as box_ops
from vision.detections import Detections
from vision.rows import Detection

__all__ = ["Decoded", "Detection", "Detections", "Predictions", "Target"]


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """The ground truth of one image.

    Attributes:
        boxes: ``xyxy`` in pixels of an image of ``size``.
        labels: Class indices from 0; background is not a class.
        ignore: Whether neither detecting nor missing the object counts: VOC's ``difficult`` and
            COCO's ``iscrowd``. All False by default.
        image_id: The image's name in messages: its path, or the name of a synthetic image.
        size: (height, width) of the image that the boxes refer to.
        crowd: Which of the ignored boxes surround a group of objects (COCO's ``iscrowd``). A prior
            or detection belongs to the group by the fraction of its own area inside the box.
            All False by default.
        areas: The areas, in square pixels, by which COCO divides objects into small, medium and
            large: the annotation's ``area`` (of the mask) if it has one, else the box's.
    """

    boxes: Float32[Tensor, "n 4"]
    labels: Int64[Tensor, "n"]
    ignore: Bool[Tensor, "n"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))
    image_id: str | int = ""
    size: tuple[int, int] = (0, 0)
    crowd: Bool[Tensor, "n"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))
    areas: Float32[Tensor, "n"] = field(default_factory=lambda: torch.zeros(0))

    def __post_init__(self) -> None:
        for name in ("ignore", "crowd"):
            if not len(getattr(self, name)):
                flags = torch.zeros(len(self.boxes), dtype=torch.bool, device=self.boxes.device)
                object.__setattr__(self, name, flags)
        if not len(self.areas):
            object.__setattr__(self, "areas", box_ops.area(self.boxes))
        columns = {
            "labels": (self.labels, torch.int64),
            "ignore": (self.ignore, torch.bool),
            "crowd": (self.crowd, torch.bool),
            "areas": (self.areas, torch.float32),
        }
        box_ops.check_columns("Target", self.boxes, columns)

    def __len__(self) -> int:
        return len(self.boxes)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle as arrays: between processes, one shared-memory handle per tensor costs more."""
        columns = (self.boxes, self.labels, self.ignore, self.crowd, self.areas)
        return _unpickle_target, (*(c.cpu().numpy() for c in columns), self.image_id, self.size)


def _unpickle_target(*columns: Any) -> Target:  # noqa: ANN401
    boxes, labels, ignore, crowd, areas = (torch.from_numpy(column) for column in columns[:5])
    image_id, size = columns[5:]
    return Target(boxes, labels, ignore, image_id, size, crowd, areas)


class Predictions(NamedTuple):
    """The network's output for each prior, before decoding.

    Attributes:
        logits: Class scores before the softmax; the last column is background.
        offsets: Box offsets from the priors, in the form of `vision.boxes.encode`.
    """

    logits: Float[Tensor, "N P C+1"]
    offsets: Float[Tensor, "N P 4"]


class Decoded(NamedTuple):
    """Decoded boxes and scores of each prior, before suppression.

    Attributes:
        boxes: ``xyxy`` relative to the image's width and height, not clipped.
        scores: Confidence of each class, without background, in [0, 1].
    """

    boxes: Float32[Tensor, "N P 4"]
    scores: Float32[Tensor, "N P C"]
