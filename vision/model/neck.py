"""The layers between backbone and heads: extra layers and the feature pyramid."""

# N batch, C channels

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vision.model.layers import BlockStyle, ConvNormAct


def extra_layers(
    inputs: int, channels: Sequence[tuple[int, int]], style: BlockStyle, *, linear: bool = False
) -> nn.ModuleList:
    """Build layers that each halve the map: 1x1, depthwise 3x3 of stride 2, 1x1.

    Args:
        inputs: Channels of the map before the first layer.
        channels: Hidden and output channels of each layer.
        style: Norm, activation and padding.
        linear: Whether the last convolution of a layer has no activation.
    """
    extras = nn.ModuleList()
    for hidden, outputs in channels:
        reduce = ConvNormAct(inputs, hidden, style, kernel=1)
        depthwise = ConvNormAct(hidden, hidden, style, stride=2, groups=hidden)
        project: nn.Module = ConvNormAct(hidden, outputs, style, kernel=1)
        if linear:
            project = nn.Sequential(*style.conv_norm(hidden, outputs, kernel=1))
        extras.append(nn.Sequential(reduce, depthwise, project))
        inputs = outputs
    return extras


class FeaturePyramid(nn.Module):
    """A Feature Pyramid Network (arXiv 1612.03144, section 3) of depthwise-separable convolutions.

    Each map is projected by a 1x1 convolution, the merged map of the next coarser level is
    upsampled to its size (nearest neighbour) and added, and a separable convolution smooths the
    sum.

    Args:
        channels: Channels of the input maps, finest first.
        width: Channels of all output maps.
        style: Norm, activation and padding.
    """

    def __init__(self, channels: Sequence[int], width: int, style: BlockStyle) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(*style.conv_norm(inputs, width, kernel=1)) for inputs in channels
        )
        self.smooth = nn.ModuleList(
            nn.Sequential(
                ConvNormAct(width, width, style, groups=width),
                ConvNormAct(width, width, style, kernel=1),
            )
            for _ in channels
        )

    def forward(self, maps: Sequence[Float[Tensor, "N _ _ _"]]) -> list[Float[Tensor, "N C _ _"]]:
        """Compute the merged maps, in the order and sizes of ``maps``."""
        joined: list[Tensor] = []
        for level, lateral in zip(reversed(maps), reversed(self.lateral), strict=True):
            projected = lateral(level)
            if joined:
                projected = projected + functional.interpolate(joined[-1], level.shape[2:])
            joined.append(projected)
        return [smooth(level) for level, smooth in zip(reversed(joined), self.smooth, strict=True)]
