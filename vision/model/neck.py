"""Between backbone and heads: extra layers, and feature pyramids."""

# N batch, C channels, h w map height and width

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vision.model.layers import BlockStyle, ConvNormAct


def extra_layers(
    inputs: int, channels: Sequence[tuple[int, int]], style: BlockStyle, *, linear: bool = False
) -> nn.ModuleList:
    """Layers that halve the map: 1x1, depthwise 3x3 of stride 2, 1x1.

    Args:
        inputs: Channels of the map before the first layer.
        channels: Channels in the middle and of the output of each layer.
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

    A map is projected by 1x1, the joined map of the next coarser level is added at its size
    (nearest neighbour), and a separable convolution smoothes the sum.

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
        """The joined maps, of the sizes of ``maps`` and in their order."""
        joined: list[Tensor] = []
        for level, lateral in zip(reversed(maps), reversed(self.lateral), strict=True):
            projected = lateral(level)
            if joined:
                projected = projected + functional.interpolate(joined[-1], level.shape[2:])
            joined.append(projected)
        return [smooth(level) for level, smooth in zip(reversed(joined), self.smooth, strict=True)]
