"""Blocks of the network; each child is indexed as in torchvision, for equal state-dict keys."""

# N batch, C channels, H W map height and width

from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = [
    "Activation",
    "BlockStyle",
    "ConvNormAct",
    "InvertedResidual",
    "Norm",
    "StridedDepthwise",
    "depthwise_separable",
    "initialise",
    "make_divisible",
]

Norm: TypeAlias = Literal["batch", "none"]
Activation: TypeAlias = Literal["relu6", "relu"]

BN_EPS = 1e-3
BN_MOMENTUM = 0.03
INIT_STD = 0.03
_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu6": nn.ReLU6, "relu": nn.ReLU}


class BlockStyle:
    """What every block of one network shares: its norm and its activation.

    Attributes:
        norm: ``batch``, or ``none`` for biased convolutions without a norm: the form that folding
            BatchNorm into the convolutions gives.
        activation: ``relu6``, or ``relu`` for runtimes that lack ReLU6.
    """

    def __init__(self, norm: Norm = "batch", activation: Activation = "relu6") -> None:
        if norm not in {"batch", "none"}:
            raise ValueError(f"norm: expected batch or none, got {norm!r}")
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation: expected relu6 or relu, got {activation!r}")
        self.norm = norm
        self.activation = activation

    def conv_norm(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> list[nn.Module]:
        """A convolution that keeps the map's size at stride 1, and its norm if there is one."""
        padding = kernel // 2
        bias = self.norm == "none"
        kind = StridedDepthwise if stride > 1 and groups == inputs > 1 else nn.Conv2d
        conv = kind(inputs, outputs, kernel, stride, padding, groups=groups, bias=bias)
        if bias:
            return [conv]
        return [conv, nn.BatchNorm2d(outputs, eps=BN_EPS, momentum=BN_MOMENTUM)]

    def act(self) -> nn.Module:
        """A fresh activation, working in place."""
        return _ACTIVATIONS[self.activation](inplace=True)


class StridedDepthwise(nn.Conv2d):
    """A depthwise convolution of stride 2 that CPU autocast leaves in float32.

    oneDNN's bf16 gradient of it takes 7 to 40 times as long as the float32 one, more than the rest
    of its block. And where a side of the map is one pixel it leaves weights that touch only padding
    unwritten: they come out as whatever lay in memory.
    """

    def forward(self, features: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D h w"]:
        """The strided map, in the number format that the features came in."""
        if not torch.is_autocast_enabled("cpu") or features.device.type != "cpu":
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
    ) -> None:
        super().__init__(*style.conv_norm(inputs, outputs, kernel, stride, groups), style.act())


def depthwise_separable(inputs: int, outputs: int, style: BlockStyle) -> nn.Sequential:
    """SSDLite's prediction layer: depthwise 3x3 with norm and activation, then 1x1 with bias.

    MobileNetV2, arXiv 1801.04381, section 6.2.
    """
    depthwise = ConvNormAct(inputs, inputs, style, groups=inputs)
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


def make_divisible(channels: float, divisor: int = 8) -> int:
    """The multiple of ``divisor`` nearest to ``channels``, at least 90% of it and at least one.

    The rounding of the authors' code for width multipliers.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
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
