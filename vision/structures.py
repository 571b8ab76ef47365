"""Ground truth, batches of images with their ground truth, and a network's outputs."""

# N batch, P priors, C classes, n boxes of one image, H and W height and width of a batch's images,
# M objects of all its images

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from numpy import ndarray
from torch import Tensor

import vision.boxes as box_ops


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
            or detection belongs to it by the fraction of its own area inside. All False by default.
        areas: Areas in square pixels by which COCO divides objects into small, medium and large:
            the annotation's ``area`` (of the mask) if it has one, else the box's.
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
                object.__setattr__(self, name, torch.zeros_like(self.labels, dtype=torch.bool))
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
        """Pickle as arrays: a shared-memory handle for each tensor costs more between processes."""
        columns = (self.boxes, self.labels, self.ignore, self.crowd, self.areas)
        return _unpickle_target, (self.image_id, self.size, *(c.cpu().numpy() for c in columns))


def _unpickle_target(image_id: str | int, size: tuple[int, int], *columns: ndarray) -> Target:
    boxes, labels, ignore, crowd, areas = (torch.from_numpy(column) for column in columns)
    return Target(boxes, labels, ignore, image_id, size, crowd, areas)


class PackedTargets(NamedTuple):
    """All objects of a batch, image by image, in one tensor: one copy moves them to a device.

    A batch without objects has one row, whose flags are all 0.

    Attributes:
        rows: Box (``xyxy`` in pixels), the reciprocals of the image's width and height, label,
            index of the image, and three flags: an object to be found, difficult, a crowd region.
        num_images: Number of images.
        max_objects: Maximum number of objects to be found in one image.
        has_ignored: Whether there are difficult objects or crowd regions.
    """

    rows: Float32[Tensor, "M 11"]
    num_images: int
    max_objects: int
    has_ignored: bool

    @property
    def boxes(self) -> Float32[Tensor, "M 4"]:
        """``xyxy`` as fractions of the image's width and height."""
        return self.rows[:, :4] * self.rows[:, 4:6].repeat(1, 2)

    @property
    def labels(self) -> Int64[Tensor, "M"]:
        """Class indices."""
        return self.rows[:, 6].long()

    @property
    def images(self) -> Int64[Tensor, "M"]:
        """Index of each object's image, in ascending order."""
        return self.rows[:, 7].long()

    @property
    def positive(self) -> Bool[Tensor, "M"]:
        """Whether each is an object to be found."""
        return self.rows[:, 8].bool()

    @property
    def difficult(self) -> Bool[Tensor, "M"]:
        """Whether each is an object whose overlapping priors are ignored."""
        return self.rows[:, 9].bool()

    @property
    def crowd(self) -> Bool[Tensor, "M"]:
        """Whether each is a region inside which priors are ignored."""
        return self.rows[:, 10].bool()

    def to(self, device: torch.device | str) -> "PackedTargets":
        """Copy them to ``device``; a copy to CUDA does not block."""
        # CUDA first copies pageable memory to a buffer; other devices may read it after the call.
        on_cuda = torch.device(device).type == "cuda"
        return self._replace(rows=self.rows.to(device, non_blocking=on_cuda))


def pack_targets(targets: Sequence[Target]) -> PackedTargets:
    """Pack the objects of several images into one tensor; boxes without area are not objects."""
    counts = torch.tensor([len(target) for target in targets], dtype=torch.int64)
    if not int(counts.sum()):
        return PackedTargets(torch.zeros(1, 11), len(targets), 0, has_ignored=False)
    ratios = torch.tensor([(1 / target.size[1], 1 / target.size[0]) for target in targets])
    images = torch.arange(len(targets)).repeat_interleave(counts)
    boxes, labels, ignore, crowd = (
        torch.cat([getattr(target, name) for target in targets])
        for name in ("boxes", "labels", "ignore", "crowd")
    )
    positive = ~ignore & (box_ops.area(boxes) > 0)
    flags = (labels, images, positive, ignore & ~crowd, crowd)
    rows = torch.cat([boxes, ratios[images], torch.stack(flags, dim=1).float()], dim=1)
    max_objects = int(torch.bincount(images[positive], minlength=1).max())
    return PackedTargets(rows, len(targets), max_objects, bool((ignore | crowd).any()))


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Images of one size, RGB from 0 to 255, and their targets.

    Attributes:
        images: The pixels.
        targets: One for each image, on the CPU.
        packed: The targets' objects, on the device of the images; None if they are not packed yet.
    """

    images: UInt8[Tensor, "N 3 H W"]
    targets: Sequence[Target]
    packed: PackedTargets | None = None

    def to(self, device: torch.device | str) -> "Batch":
        """Copy the batch to ``device``; from pinned memory, the two copies do not block."""
        packed = pack_targets(self.targets) if self.packed is None else self.packed
        images = self.images.to(device, non_blocking=True)
        return replace(self, images=images, packed=packed.to(device))

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory; `DataLoader` calls this."""
        packed = self.packed and self.packed._replace(rows=self.packed.rows.pin_memory())
        return replace(self, images=self.images.pin_memory(), packed=packed)


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
