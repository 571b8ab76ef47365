"""The data types shared by all packages: targets, detections and predictions."""

# N batch, P priors, C classes, n boxes of one image

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

import vision.boxes as box_ops


def _check(owner: str, boxes: Tensor, columns: dict[str, tuple[Tensor, torch.dtype]]) -> None:
    """Raise ValueError unless ``boxes`` is float32 (n, 4) and each column is (n,) of its dtype."""
    if boxes.dtype != torch.float32 or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(
            f"{owner}.boxes: expected float32 of shape (n, 4), got {boxes.dtype} of shape"
            f" {tuple(boxes.shape)}"
        )
    for name, (column, dtype) in columns.items():
        if column.dtype != dtype or column.shape != boxes.shape[:1]:
            raise ValueError(
                f"{owner}.{name}: expected {dtype} of shape ({len(boxes)},), got {column.dtype}"
                f" of shape {tuple(column.shape)}"
            )


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
        _check("Target", self.boxes, columns)

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


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The objects detected in one image, highest score first.

    Attributes:
        boxes: ``xyxy`` in pixels of an image of ``size``.
        scores: Confidences in [0, 1], in descending order.
        labels: Class indices from 0.
        size: (height, width) of the image that the boxes refer to; None where it is unknown.
    """

    boxes: Float32[Tensor, "n 4"]
    scores: Float32[Tensor, "n"]
    labels: Int64[Tensor, "n"]
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        columns = {"scores": (self.scores, torch.float32), "labels": (self.labels, torch.int64)}
        _check("Detections", self.boxes, columns)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: Bool[Tensor, "n"] | Int64[Tensor, "kept"] | slice) -> "Detections":
        """The detections that a boolean mask, an index tensor or a slice selects."""
        return Detections(self.boxes[index], self.scores[index], self.labels[index], self.size)

    @classmethod
    def empty(cls, size: tuple[int, int] | None = None) -> "Detections":
        """Detections of an image without objects."""
        labels = torch.zeros(0, dtype=torch.int64)
        return cls(torch.zeros(0, 4), torch.zeros(0), labels, size)

    def scale_to(self, size: tuple[int, int]) -> "Detections":
        """The same detections on the image resized to ``size`` (height, width).

        Raises:
            ValueError: If ``size`` is None.
        """
        if self.size is None:
            raise ValueError("Detections.scale_to: the size of the boxes' image is unknown")
        boxes = box_ops.scale(self.boxes, self.size, size)
        return Detections(boxes, self.scores, self.labels, size)

    def to(self, device: torch.device | str) -> "Detections":
        """The same detections on ``device``."""
        boxes, scores, labels = (x.to(device) for x in (self.boxes, self.scores, self.labels))
        return Detections(boxes, scores, labels, self.size)

    def to_dict(self) -> dict[str, Tensor]:
        """``{"boxes", "scores", "labels"}``; `vision.interop` has torchvision's, labels from 1."""
        return {"boxes": self.boxes, "scores": self.scores, "labels": self.labels}


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
