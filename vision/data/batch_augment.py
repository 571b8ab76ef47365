"""The part of augmentation that runs on a batch at once, on the device that trains."""

# N batch, H and W the images' height and width

import math
from dataclasses import replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vision.data.colour import BRIGHTNESS, CONTRAST, HUE, SATURATION
from vision.data.transforms import PRESETS, seeded
from vision.structures import Batch, Target

TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
TO_RGB = torch.linalg.inv(TO_YIQ)


def augment_batch(batch: Batch, preset: str, *key: int) -> Batch:
    """A batch with the photometric distortion and the flips of a preset, image by image.

    Args:
        batch: Its images are on the device; its targets are on the CPU, and stay there.
        preset: A key of `vision.data.transforms.PRESETS`.
        key: Numbers that seed the random choices.
    """
    parts = PRESETS[preset]
    if not parts.photometric and not parts.flip:
        return batch
    images, targets, packed = batch.images, batch.targets, batch.packed
    device = images.device
    with seeded(*key):
        flips = torch.rand(len(images)) < 0.5
        draws = torch.rand(len(images), 8)
    if parts.photometric:
        images = _distort(images, draws.to(device, non_blocking=True))
    if parts.flip:
        on_device = flips.to(device, non_blocking=True)
        images = torch.where(on_device.view(-1, 1, 1, 1), images.flip(3), images)
        pairs = zip(targets, flips.tolist(), strict=True)
        targets = [_flipped(target) if flip else target for target, flip in pairs]
        packed = None if packed is None else packed.flipped(on_device)
    return Batch(images, targets, packed)


def _flipped(target: Target) -> Target:
    width = target.size[1]
    left, top, right, bottom = target.boxes.unbind(1)
    return replace(target, boxes=torch.stack([width - right, top, width - left, bottom], dim=1))


def _distort(
    images: UInt8[Tensor, "N 3 H W"], draws: Float[Tensor, "N 8"]
) -> UInt8[Tensor, "N 3 H W"]:
    """Photometric distortion as one affine map of each image's colours.

    Brightness scales all channels, contrast scales about the image's mean grey, and saturation
    and hue scale and rotate the chrominance plane (I, Q) of YIQ. One matrix for each image takes
    the place of four passes over its pixels.

    Args:
        images: RGB.
        draws: Uniform in [0, 1): where in their ranges brightness, contrast, saturation and hue
            lie, then whether (below 0.5) each of them is applied.
    """
    is_applied = draws[:, 4:] < 0.5

    def between(column: int, low: float, high: float, neutral: float) -> Tensor:
        values = low + (high - low) * draws[:, column]
        return torch.where(is_applied[:, column], values, neutral)

    brightness, contrast = between(0, *BRIGHTNESS, 1.0), between(1, *CONTRAST, 1.0)
    saturation, hue = between(2, *SATURATION, 1.0), between(3, *HUE, 0.0) * 2 * math.pi
    chrominance = torch.zeros(len(images), 3, 3, device=images.device)
    chrominance[:, 0, 0] = 1
    chrominance[:, 1, 1] = chrominance[:, 2, 2] = saturation * hue.cos()
    chrominance[:, 1, 2] = -saturation * hue.sin()
    chrominance[:, 2, 1] = saturation * hue.sin()
    to_yiq = TO_YIQ.to(images.device, non_blocking=True)
    matrix = TO_RGB.to(images.device, non_blocking=True) @ chrominance @ to_yiq
    pixels = images.float()
    grey = (pixels.mean(dim=(2, 3)) * to_yiq[0]).sum(dim=1)
    pixels = torch.einsum("nij,njhw->nihw", (brightness * contrast).view(-1, 1, 1) * matrix, pixels)
    pixels += (brightness * (1 - contrast) * grey).view(-1, 1, 1, 1)
    return (
        pixels.round().clamp(0, 255).to(torch.uint8).contiguous(memory_format=torch.channels_last)
    )
