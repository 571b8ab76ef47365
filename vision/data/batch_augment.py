"""What augmentation can do to a whole batch at once, on the device that trains."""

# N batch

import math
from dataclasses import replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vision.data.transforms import seeded
from vision.structures import Batch, Target

__all__ = ["BATCH_AUGMENTS", "augment_batch"]

BATCH_AUGMENTS = {
    "none": (),
    "photometric": ("colours", "flip"),
    "ssdlite": ("flip",),
    "ssd": ("colours", "flip"),
}
"""What `augment_batch` does by ``augment.preset``, where ``augment.on_device`` leaves it that."""

# As torchvision's RandomPhotometricDistort has them, each with a chance of a half.
BRIGHTNESS, CONTRAST, SATURATION, HUE = (0.875, 1.125), (0.5, 1.5), (0.5, 1.5), (-0.05, 0.05)
TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
TO_RGB = torch.linalg.inv(TO_YIQ)


def augment_batch(batch: Batch, preset: str, *key: int) -> Batch:
    """A batch, on its device, flipped and coloured image by image as ``key`` decides.

    Colours are one linear map an image: brightness, contrast about the image's mean grey, and
    saturation and hue as a scaling and a turn of the colour plane of YIQ.

    Args:
        batch: Its targets are on the CPU, and stay there.
        preset: One of `BATCH_AUGMENTS`.
        key: Numbers that decide what is drawn.
    """
    parts = BATCH_AUGMENTS[preset]
    if not parts:
        return batch
    count, device = len(batch.images), batch.images.device
    with seeded(*key):
        flips = torch.rand(count) < 0.5
        draws = torch.rand(count, 8)
    images = batch.images
    if "colours" in parts:
        images = _colour(images, draws.to(device))
    if "flip" not in parts:
        return Batch(images, batch.targets)
    images = torch.where(flips.to(device).view(-1, 1, 1, 1), images.flip(3), images)
    targets = [
        _mirrored(target) if flip else target
        for target, flip in zip(batch.targets, flips.tolist(), strict=True)
    ]
    return Batch(images, targets)


def _mirrored(target: Target) -> Target:
    width = target.size[1]
    left, top, right, bottom = target.boxes.unbind(1)
    return replace(target, boxes=torch.stack([width - right, top, width - left, bottom], dim=1))


def _colour(
    images: UInt8[Tensor, "N 3 H W"], draws: Float[Tensor, "N 8"]
) -> UInt8[Tensor, "N 3 H W"]:
    """Pixels through a matrix an image, in place of four passes over them."""
    is_drawn = draws[:, 4:] < 0.5

    def between(column: int, low: float, high: float, neutral: float) -> Tensor:
        values = low + (high - low) * draws[:, column]
        return torch.where(is_drawn[:, column], values, neutral)

    brightness, contrast = between(0, *BRIGHTNESS, 1.0), between(1, *CONTRAST, 1.0)
    saturation, hue = between(2, *SATURATION, 1.0), between(3, *HUE, 0.0) * 2 * math.pi
    turn = torch.zeros(len(images), 3, 3, device=images.device)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = saturation * hue.cos()
    turn[:, 1, 2] = -saturation * hue.sin()
    turn[:, 2, 1] = saturation * hue.sin()
    to_yiq = TO_YIQ.to(images.device, non_blocking=True)
    matrix = TO_RGB.to(images.device, non_blocking=True) @ turn @ to_yiq
    pixels = images.float()
    grey = (pixels.mean(dim=(2, 3)) * to_yiq[0]).sum(dim=1)
    pixels = torch.einsum("nij,njhw->nihw", (brightness * contrast).view(-1, 1, 1) * matrix, pixels)
    pixels += (brightness * (1 - contrast) * grey).view(-1, 1, 1, 1)
    return (
        pixels.round().clamp(0, 255).to(torch.uint8).contiguous(memory_format=torch.channels_last)
    )
