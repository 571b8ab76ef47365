"""A batch of images with its targets, also packed into one tensor for the device that trains."""

# N images, H and W their height and width, M objects of all images

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor

import vision.boxes as box_ops
from vision.structures import Target

_POSITIVE, _DIFFICULT, _CROWD = 1, 2, 4


class PackedTargets(NamedTuple):
    """All objects of a batch, image by image, in one tensor that a device gets by one copy.

    A batch without objects has one row, which is nothing to find or ignore.

    Attributes:
        rows: Box (``xyxy`` in pixels), the reciprocals of the image's width and height, label,
            index of the image, and a sum of 1 for an object to be found, 2 for a difficult one and
            4 for a crowd region.
        num_images: Number of images.
        max_objects: Most objects to be found in one image.
        has_ignored: Whether there are difficult objects or crowd regions.
    """

    rows: Float32[Tensor, "M 9"]
    num_images: int
    max_objects: int
    has_ignored: bool

    @property
    def boxes(self) -> Float32[Tensor, "M 4"]:
        """``xyxy`` relative to the image."""
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
        """Objects to be found."""
        return self._has(_POSITIVE)

    @property
    def difficult(self) -> Bool[Tensor, "M"]:
        """Objects whose overlapping priors are ignored."""
        return self._has(_DIFFICULT)

    @property
    def crowd(self) -> Bool[Tensor, "M"]:
        """Regions inside which priors are ignored."""
        return self._has(_CROWD)

    def _has(self, flag: int) -> Bool[Tensor, "M"]:
        return (self.rows[:, 8].to(torch.uint8) & flag).bool()

    def flipped(self, images: Bool[Tensor, "N"]) -> "PackedTargets":
        """The same with some images mirrored left to right."""
        left, top, right, bottom = self.rows[:, :4].unbind(1)
        width = (1 / self.rows[:, 4]).round()
        mirrored = torch.stack([width - right, top, width - left, bottom], dim=1)
        boxes = torch.where(images[self.images][:, None], mirrored, self.rows[:, :4])
        return self._replace(rows=torch.cat([boxes, self.rows[:, 4:]], dim=1))

    def to(self, device: torch.device | str) -> "PackedTargets":
        """The same on ``device``; a copy to CUDA does not block."""
        # CUDA copies pageable memory to a buffer before it returns, so that the source may be
        # freed; other devices may still read from the source after that.
        on_cuda = torch.device(device).type == "cuda"
        return self._replace(rows=self.rows.to(device, non_blocking=on_cuda))


def pack_targets(targets: Sequence[Target]) -> PackedTargets:
    """The objects of some images in one tensor; boxes without area do not count as objects."""
    counts = torch.tensor([len(target) for target in targets], dtype=torch.int64)
    rows = torch.zeros(max(1, int(counts.sum())), 9)
    if not len(targets) or not int(counts.sum()):
        return PackedTargets(rows, len(targets), 0, has_ignored=False)
    ratios = [(1 / width, 1 / height) for height, width in (target.size for target in targets)]
    boxes = torch.cat([target.boxes for target in targets])
    rows[:, :4] = boxes
    rows[:, 4:6] = torch.tensor(ratios).repeat_interleave(counts, dim=0)
    rows[:, 6] = torch.cat([target.labels for target in targets])
    images = torch.arange(len(targets)).repeat_interleave(counts)
    rows[:, 7] = images
    ignore, crowd = (
        torch.cat([getattr(target, name) for target in targets]) for name in ("ignore", "crowd")
    )
    positive = ~ignore & (box_ops.area(boxes) > 0)
    rows[:, 8] = _POSITIVE * positive + _DIFFICULT * (ignore & ~crowd) + _CROWD * crowd
    return PackedTargets(
        rows,
        len(targets),
        int(torch.bincount(images[positive], minlength=1).max()),
        has_ignored=bool((ignore | crowd).any()),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Images of one size, RGB from 0 to 255, and their targets.

    Attributes:
        images: The pixels.
        targets: One an image, on the CPU.
        packed: The targets' objects, on the device of the images; None if they are not packed yet.
    """

    images: UInt8[Tensor, "N 3 H W"]
    targets: Sequence[Target]
    packed: PackedTargets | None = None

    def to(self, device: torch.device | str) -> "Batch":
        """The batch with images and packed targets on ``device``, each by one copy.

        From pinned memory the copies do not block.
        """
        packed = pack_targets(self.targets) if self.packed is None else self.packed
        images = self.images.to(device, non_blocking=True)
        return replace(self, images=images, packed=packed.to(device))

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory; `DataLoader` calls this."""
        packed = self.packed
        if packed is not None:
            packed = packed._replace(rows=packed.rows.pin_memory())
        return replace(self, images=self.images.pin_memory(), packed=packed)
