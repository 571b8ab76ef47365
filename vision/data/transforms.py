"""Augmentation presets, made of torchvision's v2 transforms."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray
from torchvision import tv_tensors
from torchvision.transforms import v2

from vision.structures import Target

ZOOM_OUT_FILL = {tv_tensors.Image: [123, 117, 104]}
"""ImageNet's mean colour."""

Augment: TypeAlias = Callable[
    [UInt8[ndarray, "h w 3"], Target], tuple[UInt8[ndarray, "H W 3"], Target]
]


class V2Augment:
    """V2 transforms on an image and its target.

    The v2 transforms ignore plain dataclasses silently, so the target is unpacked into tensors
    that they know, and packed again. Boxes that a transform leaves without area are removed.
    """

    def __init__(self, *transforms: v2.Transform) -> None:
        self.transform = v2.Compose([*transforms, v2.SanitizeBoundingBoxes(labels_getter=_columns)])

    def __call__(
        self, image: UInt8[ndarray, "h w 3"], target: Target
    ) -> tuple[UInt8[ndarray, "H W 3"], Target]:
        """Transform the image and its target together, by torch's global random state."""
        sample = {
            "image": tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1)),
            "boxes": tv_tensors.BoundingBoxes(target.boxes, format="XYXY", canvas_size=target.size),
            "labels": target.labels,
            "ignore": target.ignore,
            "crowd": target.crowd,
        }
        changed: dict[str, Any] = self.transform(sample)
        pixels = changed["image"].as_subclass(torch.Tensor).permute(1, 2, 0)
        height, width = pixels.shape[:2]
        boxes = changed["boxes"].as_subclass(torch.Tensor)
        return np.ascontiguousarray(pixels.numpy()), Target(
            boxes,
            changed["labels"],
            changed["ignore"],
            target.image_id,
            (height, width),
            changed["crowd"],
        )


def _columns(sample: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    """The values that are removed together with their box."""
    return sample["labels"], sample["ignore"], sample["crowd"]


class _IoUCrop(v2.RandomIoUCrop):  # type: ignore[misc]
    """SSD's crop (arXiv 1512.02325, section 2.2 "Data augmentation"), where one is possible.

    Without a box no crop can reach the required overlap, and torchvision's would make hundreds of
    attempts; in an image a few pixels wide or high it would choose a crop of size 0 and divide by
    it.
    """

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The position of the crop; empty for no crop."""
        boxes = next(item for item in flat_inputs if isinstance(item, tv_tensors.BoundingBoxes))
        can_crop = len(boxes) > 0 and min(boxes.canvas_size) * self.min_scale >= 1
        params: dict[str, Any] = super().make_params(flat_inputs) if can_crop else {}
        return params


@dataclass(frozen=True, slots=True)
class AugmentPreset:
    """An augmentation recipe, in the order in which it is applied.

    Attributes:
        photometric: Whether brightness, contrast, saturation and hue change.
        geometry: Transforms of each image and its boxes.
        flip: Whether images are flipped horizontally with probability 0.5.
    """

    photometric: bool = False
    geometry: tuple[v2.Transform, ...] = ()
    flip: bool = False


PRESETS = {
    "none": AugmentPreset(),
    "photometric": AugmentPreset(photometric=True, flip=True),
    "ssdlite": AugmentPreset(geometry=(_IoUCrop(),), flip=True),
    "ssd": AugmentPreset(
        photometric=True, geometry=(v2.RandomZoomOut(fill=ZOOM_OUT_FILL), _IoUCrop()), flip=True
    ),
}
"""Recipes by ``augment.preset``.

``photometric`` cuts nothing off, so that small data sets lose none of their few objects;
``ssdlite`` is how torchvision trains its SSDlite; ``ssd`` is the augmentation of the SSD paper.
"""


def build_augment(preset: str, *, on_device: bool = False) -> Augment | None:
    """The augmentation of single images; None where nothing is to be done.

    Args:
        preset: A key of `PRESETS`.
        on_device: Leave out what `vision.data.batch_augment.augment_batch` does on the device.
    """
    parts = PRESETS[preset]
    transforms = list(parts.geometry)
    if parts.photometric and not on_device:
        transforms.insert(0, v2.RandomPhotometricDistort())
    if parts.flip and not on_device:
        transforms.append(v2.RandomHorizontalFlip())
    return V2Augment(*transforms) if transforms else None


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Torch's global random state seeded from ``key`` inside, and restored afterwards."""
    seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)
