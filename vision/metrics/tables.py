"""Detections and ground truth of many images in columns, the input of all metrics."""

# n boxes of all images

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, overload

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray
from torch import Tensor

import vision.boxes as box_ops
from vision.detections import Detections
from vision.structures import Target

Item = TypeVar("Item", Detections, Target)
Size = tuple[int, int]


class _Images(Sequence[Item]):
    """A sequence with an item for each image, created when it is accessed."""

    @abstractmethod
    def image(self, index: int) -> Item:
        """The item of one image."""

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        chosen = range(len(self))[index]
        return self.image(chosen) if isinstance(chosen, int) else [self.image(i) for i in chosen]


@dataclass(frozen=True, eq=False)
class DetectionTable(_Images[Detections]):
    """The detections of many images in columns; as a sequence, the `Detections` of each image.

    Attributes:
        images: Index of the image of each detection, ascending.
        labels: Class indices.
        boxes: ``xywh`` in pixels.
        scores: Confidences; descending within an image.
        sizes: (height, width) of each image; None if it is unknown.
    """

    images: Int64[ndarray, "n"]
    labels: Int64[ndarray, "n"]
    boxes: Float64[ndarray, "n 4"]
    scores: Float64[ndarray, "n"]
    sizes: Sequence[Size | None]

    @classmethod
    def of(cls, detections: Sequence[Detections]) -> "DetectionTable":
        """Create the table of the detections of all images; a table is returned as it is."""
        if isinstance(detections, cls):
            return detections
        return cls(
            _image_column(detections),
            _column([found.labels for found in detections], torch.int64),
            _box_column([found.boxes for found in detections]),
            _column([found.scores for found in detections], torch.float64),
            [found.size for found in detections],
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def image(self, index: int) -> Detections:
        """The detections of one image."""
        rows = _rows(self.images, index)
        scores, labels = (torch.from_numpy(column[rows]) for column in (self.scores, self.labels))
        return Detections(
            _tensor_boxes(self.boxes[rows]), scores.float(), labels, self.sizes[index]
        )


@dataclass(frozen=True, eq=False)
class TargetTable(_Images[Target]):
    """The ground truth of many images in columns; as a sequence, the `Target` of each image.

    Attributes:
        images: Index of each box's image, ascending.
        labels: Class indices.
        boxes: ``xywh`` in pixels.
        ignore: Whether each box is ignored (see `vision.structures.Target`).
        crowd: Whether each box surrounds a group of objects.
        areas: Areas in square pixels by which COCO divides objects into sizes.
        image_ids: Name of each image.
        sizes: (height, width) of each image.
    """

    images: Int64[ndarray, "n"]
    labels: Int64[ndarray, "n"]
    boxes: Float64[ndarray, "n 4"]
    ignore: Bool[ndarray, "n"]
    crowd: Bool[ndarray, "n"]
    areas: Float64[ndarray, "n"]
    image_ids: Sequence[str | int]
    sizes: Sequence[Size]

    @classmethod
    def of(cls, targets: Sequence[Target]) -> "TargetTable":
        """Create the table of the targets of all images; a table is returned as it is."""
        if isinstance(targets, cls):
            return targets
        return cls(
            _image_column(targets),
            _column([target.labels for target in targets], torch.int64),
            _box_column([target.boxes for target in targets]),
            _column([target.ignore for target in targets], torch.bool),
            _column([target.crowd for target in targets], torch.bool),
            _column([target.areas for target in targets], torch.float64),
            [target.image_id for target in targets],
            [target.size for target in targets],
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def image(self, index: int) -> Target:
        """The ground truth of one image."""
        rows = _rows(self.images, index)
        labels, ignore, crowd, areas = (
            torch.from_numpy(column[rows])
            for column in (self.labels, self.ignore, self.crowd, self.areas)
        )
        return Target(
            _tensor_boxes(self.boxes[rows]),
            labels,
            ignore,
            self.image_ids[index],
            self.sizes[index],
            crowd,
            areas.float(),
        )


def _rows(images: Int64[ndarray, "n"], index: int) -> slice:
    return slice(*np.searchsorted(images, [index, index + 1]).tolist())


def _image_column(items: Sequence[Detections | Target]) -> Int64[ndarray, "n"]:
    return np.repeat(np.arange(len(items)), [len(item) for item in items])


def _column(parts: Sequence[Tensor], dtype: torch.dtype) -> ndarray:
    return torch.cat([torch.zeros(0, dtype=dtype), *(part.cpu() for part in parts)]).numpy()


def _box_column(parts: Sequence[Tensor]) -> Float64[ndarray, "n 4"]:
    boxes = torch.cat([torch.zeros(0, 4), *(part.cpu() for part in parts)])
    return box_ops.xyxy_to_xywh(boxes.double()).numpy()


def _tensor_boxes(boxes: Float64[ndarray, "n 4"]) -> Tensor:
    return box_ops.xywh_to_xyxy(torch.from_numpy(boxes)).float()
