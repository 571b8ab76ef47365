"""Augmentation: whole recipes under one name each, made of torchvision's v2 transforms."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray
from torchvision import tv_tensors
from torchvision.transforms import v2

from vision.structures import Target

__all__ = ["PRESETS", "Augment", "V2Augment", "seeded"]

ZOOM_OUT_FILL = {tv_tensors.Image: [123, 117, 104]}
"""The grey of an average photograph."""

Augment: TypeAlias = Callable[
    [UInt8[ndarray, "h w 3"], Target], tuple[UInt8[ndarray, "H W 3"], Target]
]


class V2Augment:
    """V2 transforms on an image and its target.

    They pass over dataclasses without a word, so the target is unpacked into tensors that they
    know, and packed again; boxes that a transform leaves without area go.
    """

    def __init__(self, *transforms: v2.Transform) -> None:
        self.transform = v2.Compose([*transforms, v2.SanitizeBoundingBoxes(labels_getter=_columns)])

    def __call__(
        self, image: UInt8[ndarray, "h w 3"], target: Target
    ) -> tuple[UInt8[ndarray, "H W 3"], Target]:
        """The image and its target changed together, by torch's global random state."""
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
    """What goes when its box goes."""
    return sample["labels"], sample["ignore"], sample["crowd"]


class _IoUCrop(v2.RandomIoUCrop):  # type: ignore[misc]
    """SSD's crop (arXiv 1512.02325, section 2.2 "Data augmentation"), where there is one.

    Without a box no crop can meet the wanted overlap, and torchvision's would try hundreds; of
    an image a few pixels wide or high it would take a crop of none, and divide by it.
    """

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Where to cut, empty for nowhere."""
        boxes = next(item for item in flat_inputs if isinstance(item, tv_tensors.BoundingBoxes))
        can_crop = len(boxes) > 0 and min(boxes.canvas_size) * self.min_scale >= 1
        params: dict[str, Any] = super().make_params(flat_inputs) if can_crop else {}
        return params


def _photometric(*, on_device: bool = False) -> V2Augment | None:
    """Colour and flip: nothing is cut off, so that small sets lose nothing of their few objects."""
    if on_device:
        return None
    return V2Augment(v2.RandomPhotometricDistort(), v2.RandomHorizontalFlip())


def _ssdlite(*, on_device: bool = False) -> V2Augment:
    """Crop and flip: what torchvision trains its SSDlite with."""
    return V2Augment(_IoUCrop(), *([] if on_device else [v2.RandomHorizontalFlip()]))


def _ssd(*, on_device: bool = False) -> V2Augment:
    """The whole of SSD's augmentation."""
    geometry = [v2.RandomZoomOut(fill=ZOOM_OUT_FILL), _IoUCrop()]
    if on_device:
        return V2Augment(*geometry)
    return V2Augment(v2.RandomPhotometricDistort(), *geometry, v2.RandomHorizontalFlip())


PRESETS: dict[str, Callable[..., Augment | None]] = {
    "none": lambda *, on_device=False: None,  # noqa: ARG005
    "photometric": _photometric,
    "ssdlite": _ssdlite,
    "ssd": _ssd,
}
"""Recipes by ``augment.preset``; ``on_device`` leaves out what `augment_batch` does there."""


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Torch's global random state set from ``key`` inside, and as before afterwards."""
    seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)
