"""Blocks of the network; each child is indexed as in torchvision, for equal state-dict keys."""

# N batch, C channels, H W map height and width

from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vision.model.variants import Padding, Preset

__all__ = [
    "Activation",
    "BlockStyle",
    "ConvNormAct",
    "InvertedResidual",
    "Norm",
    "StridedConv",
    "depthwise_separable",
    "initialise",
    "make_divisible",
]

Norm: TypeAlias = Literal["batch", "none"]
Activation: TypeAlias = Literal["relu6", "relu"]

INIT_STD = 0.03
_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu6": nn.ReLU6, "relu": nn.ReLU}


class BlockStyle:
    """What every block of one network shares.

    Attributes:
        norm: ``batch``, or ``none`` for biased convolutions without a norm: the form that folding
            BatchNorm into the convolutions gives.
        activation: ``relu6``, or ``relu`` for runtimes that lack ReLU6.
        preset: Padding and BatchNorm's constants.
    """

    def __init__(
        self,
        norm: Norm = "batch",
        activation: Activation = "relu6",
        preset: Preset = Preset(),  # noqa: B008
    ) -> None:
        if norm not in {"batch", "none"}:
            raise ValueError(f"norm: expected batch or none, got {norm!r}")
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation: expected relu6 or relu, got {activation!r}")
        self.norm = norm
        self.activation = activation
        self.preset = preset

    def conv_norm(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        *,
        bias: bool = False,
    ) -> list[nn.Module]:
        """A convolution that keeps the map's size at stride 1, and its norm if there is one.

        Without a norm the convolution has a bias whatever ``bias`` says.
        """
        bias = bias or self.norm == "none"
        conv: nn.Conv2d
        if stride > 1:
            conv = StridedConv(inputs, outputs, groups, bias=bias, padding=self.preset.padding)
        else:
            conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=bias)
        if self.norm == "none":
            return [conv]
        preset = self.preset
        return [conv, nn.BatchNorm2d(outputs, preset.norm_eps, preset.norm_momentum)]

    def act(self) -> nn.Module:
        """A fresh activation, working in place."""
        return _ACTIVATIONS[self.activation](inplace=True)


class StridedConv(nn.Conv2d):
    """A 3x3 convolution of stride 2, which CPU autocast leaves in float32 if it is depthwise.

    oneDNN's bf16 gradient of depthwise ones takes 7 to 40 times as long as the float32 one, more
    than the rest of their block. And where a side of the map is one pixel it leaves weights that
    touch only padding unwritten: they come out as whatever lay in memory.

    Args:
        inputs: Channels.
        outputs: Channels.
        groups: As many as channels for a depthwise one.
        bias: Whether it has one.
        padding: ``symmetric`` or ``same``, as in `Preset`.
    """

    def __init__(
        self, inputs: int, outputs: int, groups: int = 1, *, bias: bool, padding: Padding
    ) -> None:
        self.is_same = padding == "same"
        super().__init__(inputs, outputs, 3, 2, 0 if self.is_same else 1, groups=groups, bias=bias)

    def forward(self, features: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D h w"]:
        """The strided map, in the number format that the features came in."""
        if self.is_same:
            height, width = features.shape[2] % 2, features.shape[3] % 2
            features = functional.pad(features, (width, 1, height, 1))
        if (
            self.groups == 1
            or features.device.type != "cpu"
            or not torch.is_autocast_enabled("cpu")
        ):
            return super().forward(features)
        with torch.autocast("cpu", enabled=False):
            return super().forward(features.float()).to(features.dtype)


class ConvNormAct(nn.Sequential):
    """Convolution, norm (if the style has one), activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        style: BlockStyle,
        *,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        layers = style.conv_norm(inputs, outputs, kernel, stride, groups, bias=bias)
        super().__init__(*layers, style.act())


def depthwise_separable(inputs: int, outputs: int, style: BlockStyle) -> nn.Sequential:
    """SSDLite's prediction layer: depthwise 3x3 with norm and activation, then 1x1 with bias.

    MobileNetV2, arXiv 1801.04381, section 6.2.
    """
    bias = style.preset.biased_depthwise
    depthwise = ConvNormAct(inputs, inputs, style, groups=inputs, bias=bias)
    return nn.Sequential(depthwise, nn.Conv2d(inputs, outputs, 1))


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, linear 1x1; with a shortcut where shapes allow.

    MobileNetV2, arXiv 1801.04381, section 3.3 and table 1.
    """

    def __init__(
        self, inputs: int, outputs: int, style: BlockStyle, *, stride: int, expand: int
    ) -> None:
        super().__init__()
        hidden = inputs * expand
        expansion = [] if expand == 1 else [ConvNormAct(inputs, hidden, style, kernel=1)]
        self.conv = nn.Sequential(
            *expansion,
            ConvNormAct(hidden, hidden, style, stride=stride, groups=hidden),
            *style.conv_norm(hidden, outputs, kernel=1),
        )
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, features: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D h w"]:
        """The block's output map."""
        output: Tensor = self.conv(features)
        return features + output if self.is_residual else output


def make_divisible(channels: float, divisor: int = 8, least: int = 8) -> int:
    """The multiple of ``divisor`` nearest to ``channels``, at least 90% of it and ``least``.

    The rounding of the authors' code for width multipliers.
    """
    rounded = max(least, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def initialise(network: nn.Module) -> None:
    """Convolutions and linear layers N(0, 0.03), biases 0; norms stay the identity but one kind.

    The last norm of a block with a shortcut starts at 0, so that the block starts as the identity
    and the network as a shallower one (arXiv 1706.02677, section 5.1).
    """
    for module in network.modules():
        if isinstance(module, InvertedResidual) and module.is_residual:
            last = module.conv[-1]
            if isinstance(last, nn.BatchNorm2d):
                nn.init.zeros_(last.weight)
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=INIT_STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
