"""The SSDLite detector: a trunk with two taps, extra layers, depthwise-separable heads."""

# N batch, P priors, C classes, H W image height and width

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vision.model.backbones.base import Trunk
from vision.model.backbones.mobilenet_v2 import MobileNetV2
from vision.model.layers import (
    BlockStyle,
    ConvNormAct,
    depthwise_separable,
    initialise,
)
from vision.model.neck import FeaturePyramid
from vision.model.priors import prior_boxes, priors_per_cell
from vision.model.variants import Preset
from vision.structures import Predictions

__all__ = ["ARCHITECTURES", "Architecture", "SSDLite", "fuse"]

Network = TypeVar("Network", bound=nn.Module)


def _mobilenet_v2(width_mult: float, style: BlockStyle) -> MobileNetV2:
    return MobileNetV2(
        0, width_mult, norm=style.norm, activation=style.activation, preset=style.preset
    )


class Architecture(NamedTuple):
    """What a ``model.name`` stands for.

    Attributes:
        trunk: Builds it from a width multiplier and a style.
        pyramid: Channels of a `FeaturePyramid` before the heads, over one finer level besides;
            None for none.
    """

    trunk: Callable[[float, BlockStyle], Trunk]
    pyramid: int | None = None


ARCHITECTURES: dict[str, Architecture] = {
    "ssdlite_mobilenet_v2": Architecture(_mobilenet_v2),
    "ssdlite_fpn": Architecture(_mobilenet_v2, pyramid=128),
}
"""By ``model.name``."""


class SSDLite(nn.Module):
    """SSDLite on a trunk (MobileNetV2, arXiv 1801.04381, section 6.2).

    The first heads sit on the trunk's last map of stride 16 before it is strided, the second on
    its last map, four more on the extra layers. With a feature pyramid there are heads on its last
    map of stride 8 too, before these. Feature map sizes, and with them the priors, come from the
    network itself.

    Args:
        trunk: Where the maps come from, such as a `MobileNetV2` without classifier.
        num_classes: Classes without background.
        image_size: (height, width) that images come in.
        min_scale: Scale of the finest priors, as a share of the image's sides.
        max_scale: Scale of the coarsest priors.
        style: Norm, activation and preset, as of the trunk.
        width_mult: Multiplier of the extra layers' channels, where the preset narrows them.
        pyramid: Channels of a feature pyramid before the heads; None for none.

    Attributes:
        priors: (P, 4), relative centre form.
        pixel_mean: What is taken from red, green and blue, 0 to 255, before the first layer.
        pixel_std: What that is divided by.
        layer_dtype: What the layers' weights are in; pixels are normalised in float32 before.
    """

    priors: Tensor
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        trunk: Trunk,
        num_classes: int,
        image_size: tuple[int, int] = (320, 320),
        *,
        min_scale: float = 0.2,
        max_scale: float = 0.95,
        style: BlockStyle = BlockStyle(),  # noqa: B008
        width_mult: float = 1.0,
        pyramid: int | None = None,
    ) -> None:
        super().__init__()
        preset = style.preset
        self.preset = preset
        self.num_classes = num_classes
        self.image_size = image_size
        self.trunk = trunk
        channels: list[int] = list(trunk.tap_channels)
        extras = []
        for hidden, outputs in _extra_channels(preset, width_mult):
            extras.append(_extra_layer(channels[-1], hidden, outputs, style))
            channels.append(outputs)
        self.extras = nn.ModuleList(extras)
        self.neck = None
        if pyramid is None:
            channels = channels[1:]
        else:
            self.neck = FeaturePyramid(channels, pyramid, style)
            channels = [pyramid] * len(channels)
            initialise(self.neck)
        self.class_heads = _heads(channels, num_classes + 1, style)
        self.box_heads = _heads(channels, 4, style)
        for part in (self.extras, self.class_heads, self.box_heads):
            initialise(part)
        self.layer_dtype = torch.float32
        self.register_buffer("pixel_mean", torch.tensor(preset.pixel_mean).view(3, 1, 1))
        self.register_buffer("pixel_std", torch.tensor(preset.pixel_std).view(3, 1, 1))
        self._scales = min_scale, max_scale
        self.map_sizes = self._measure_maps(image_size)
        self.register_buffer("priors", self._lay_out(self.map_sizes), persistent=False)

    def _measure_maps(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        """(height, width) of each level, from a pass without arithmetic."""
        twin = copy.deepcopy(self).to("meta").eval()
        maps = twin.levels(torch.empty(1, 3, *image_size, device="meta"))
        return [(level.shape[2], level.shape[3]) for level in maps]

    def _lay_out(self, map_sizes: Sequence[tuple[int, int]]) -> Float[Tensor, "P 4"]:
        return prior_boxes(map_sizes, *self._scales, self.preset.priors)

    def priors_at(self, image_size: tuple[int, int]) -> Float[Tensor, "P 4"]:
        """The priors of images of another (height, width), on the device of ``priors``."""
        return self._lay_out(self._measure_maps(image_size)).to(self.priors.device)

    def levels(self, images: Tensor) -> list[Tensor]:
        """The maps that the heads look at, finest first, from images as they come."""
        normalised = ((images - self.pixel_mean) / self.pixel_std).to(self.layer_dtype)
        maps: list[Tensor] = list(self.trunk.taps(normalised))
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        if self.neck is None:
            return maps[1:]
        joined: list[Tensor] = self.neck(maps)
        return joined

    def forward(self, images: Shaped[Tensor, "N 3 H W"]) -> Predictions:
        """Predictions for each prior of each image.

        Args:
            images: RGB from 0 to 255, uint8 or floating, of the network's ``image_size``.

        Returns:
            ``logits`` (N, P, C + 1), before the softmax, background last; ``offsets`` (N, P, 4)
            from ``priors``, to be undone by `vision.boxes.decode`. P runs as in ``priors``.
        """
        maps = self.levels(images)
        return Predictions(
            _rows(maps, self.class_heads, self.num_classes + 1), _rows(maps, self.box_heads, 4)
        )


def _extra_channels(preset: Preset, width_mult: float) -> list[tuple[int, int]]:
    """Hidden and final channels of the extra layers."""
    mult = width_mult if preset.narrows_all else 1.0
    whole = [(256, 512), (128, 256), (128, 256), (64, preset.last_extra)]
    return [
        (
            max(int(hidden * mult), preset.min_channels),
            max(int(outputs * mult), preset.min_channels),
        )
        for hidden, outputs in whole
    ]


def _extra_layer(inputs: int, hidden: int, outputs: int, style: BlockStyle) -> nn.Sequential:
    """Halve the map: 1x1 to the hidden channels, depthwise 3x3 of stride 2, 1x1."""
    last: nn.Module = ConvNormAct(hidden, outputs, style, kernel=1)
    if style.preset.linear_extras:
        last = nn.Sequential(*style.conv_norm(hidden, outputs, kernel=1))
    return nn.Sequential(
        ConvNormAct(inputs, hidden, style, kernel=1),
        ConvNormAct(hidden, hidden, style, stride=2, groups=hidden),
        last,
    )


def _heads(channels: Sequence[int], values: int, style: BlockStyle) -> nn.ModuleList:
    """A prediction layer for each level with ``values`` numbers a prior."""
    counts = [values * count for count in priors_per_cell(len(channels), style.preset.priors)]
    heads: list[nn.Module] = [
        depthwise_separable(inputs, count, style)
        for inputs, count in zip(channels, counts, strict=True)
    ]
    if style.preset.plain_last_head:
        heads[-1] = nn.Conv2d(channels[-1], counts[-1], 1)
    return nn.ModuleList(heads)


def _rows(maps: Sequence[Tensor], heads: nn.ModuleList, values: int) -> Tensor:
    """The heads' outputs as (N, P, values), in the row order of the priors."""
    outputs = [head(level) for head, level in zip(heads, maps, strict=True)]
    return torch.cat(
        [output.permute(0, 2, 3, 1).reshape(output.shape[0], -1, values) for output in outputs],
        dim=1,
    )


def fuse(network: Network) -> Network:
    """A copy for inference with each BatchNorm folded into the convolution before it.

    The copy is in evaluation mode and has the layers and state-dict keys of the same network
    built with ``norm="none"``.
    """
    fused = copy.deepcopy(network).eval()
    for block in fused.modules():
        if not isinstance(block, nn.Sequential):
            continue
        for index in range(len(block) - 1, 0, -1):
            conv, norm = block[index - 1], block[index]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, _BatchNorm):
                block[index - 1] = fuse_conv_bn_eval(conv, norm)
                del block[index]
    return fused
