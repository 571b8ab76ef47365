"""Layers of the network, with torchvision's state-dict keys."""

# N batch, C D input and output channels, H W map size, h w map size after the stride

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vision.model.activations import ACTIVATIONS, Activation

Norm: TypeAlias = Literal["batch", "none"]
Padding: TypeAlias = Literal["symmetric", "same"]
Scores: TypeAlias = Literal["softmax", "sigmoid"]
"""How logits become scores: a softmax over classes and background, or a sigmoid of each class."""

INIT_STD = 0.03


@dataclass(frozen=True, slots=True)
class BlockStyle:
    """The settings that all blocks of a network share.

    Attributes:
        norm: ``batch``, or ``none`` for convolutions with a bias and no norm, as they are after
            BatchNorm has been folded into them.
        activation: ``relu6``, ``relu`` for runtimes that lack ReLU6, or ``hardswish``.
        padding: Padding of strided layers: half the kernel on every side (``symmetric``), or
            TensorFlow's ``same``, which puts the odd pixel on the right and at the bottom.
        norm_eps: Epsilon of BatchNorm.
        norm_momentum: Weight of the new batch in BatchNorm's running statistics.
    """

    norm: Norm = "batch"
    activation: Activation = "relu6"
    padding: Padding = "symmetric"
    norm_eps: float = 1e-3
    norm_momentum: float = 0.03

    def __post_init__(self) -> None:
        if self.norm not in {"batch", "none"}:
            raise ValueError(f"norm: expected batch or none, got {self.norm!r}")
        if self.activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ValueError(f"activation: expected one of {known}, got {self.activation!r}")

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
        """Build a convolution that keeps the map's size at stride 1, and its norm, if any.

        Without a norm the convolution always has a bias.

        Raises:
            ValueError: If the kernel is even.
        """
        if kernel % 2 == 0:
            raise ValueError(f"kernel: expected an odd number, got {kernel}")
        bias = bias or self.norm == "none"
        conv: nn.Conv2d
        if stride > 1:
            conv = StridedConv(
                inputs, outputs, kernel, stride, groups, bias=bias, padding=self.padding
            )
        else:
            conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=bias)
        if self.norm == "none":
            return [conv]
        return [conv, nn.BatchNorm2d(outputs, self.norm_eps, self.norm_momentum)]

    def act(self) -> nn.Module:
        """Build an activation module, which works in place."""
        return ACTIVATIONS[self.activation](inplace=True)


class StridedConv(nn.Conv2d):
    """A strided convolution, which stays in float32 under CPU autocast if it is depthwise.

    oneDNN's bfloat16 gradient of a depthwise strided convolution takes 7 to 40 times as long as the
    float32 one, longer than the rest of the block. If a side of the map is one pixel long, it also
    leaves the gradient of weights that touch only padding uninitialised.

    ``kernel`` must be odd; ``padding`` is ``symmetric`` or ``same``, as in `BlockStyle`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 2,
        groups: int = 1,
        *,
        bias: bool,
        padding: Padding,
    ) -> None:
        self.is_same = padding == "same"
        symmetric = 0 if self.is_same else kernel // 2
        super().__init__(inputs, outputs, kernel, stride, symmetric, groups=groups, bias=bias)

    def forward(self, features: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D h w"]:
        """Apply the convolution."""
        if self.is_same:
            sides = [self._same_padding(size) for size in (features.shape[3], features.shape[2])]
            features = functional.pad(features, [*sides[0], *sides[1]])
        if (
            self.groups == 1
            or features.device.type != "cpu"
            or not torch.is_autocast_enabled("cpu")
        ):
            return super().forward(features)
        with torch.autocast("cpu", enabled=False):
            return super().forward(features.float()).to(features.dtype)

    def _same_padding(self, size: int) -> tuple[int, int]:
        """Return the pixels to add before and after a side, for outputs of ceil(size / stride)."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        # Not as -(-size // stride): some tracers round negative quotients towards zero.
        outputs = (size + stride - 1) // stride
        total = max((outputs - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2


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


def depthwise_separable(
    inputs: int, outputs: int, style: BlockStyle, *, bias: bool = False
) -> nn.Sequential:
    """Build SSDLite's prediction layer: depthwise 3x3 with norm and activation, 1x1 with bias.

    MobileNetV2, arXiv 1801.04381, section 6.2. ``bias`` gives the depthwise convolution a bias.
    """
    depthwise = ConvNormAct(inputs, inputs, style, groups=inputs, bias=bias)
    return nn.Sequential(depthwise, nn.Conv2d(inputs, outputs, 1))


def make_divisible(channels: float, minimum: int = 8) -> int:
    """Round to the nearest multiple of 8 that is at least ``minimum`` and 90% of ``channels``.

    The authors' code rounds like this after multiplying by the width multiplier.
    """
    rounded = max(minimum, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def initialise(network: nn.Module) -> None:
    """Draw convolutions and linear layers from N(0, 0.03^2), and set biases to 0.

    Norms stay the identity, except the last one of each block with a shortcut (``is_residual``):
    its scale starts at 0, so that the block starts as the identity, which makes the network
    shallower at first (arXiv 1706.02677, section 5.1).
    """
    for module in network.modules():
        if getattr(module, "is_residual", False):
            norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
            if norms:
                nn.init.zeros_(norms[-1].weight)
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=INIT_STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
