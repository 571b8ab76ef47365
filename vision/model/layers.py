"""Layers of the network, with torchvision's state-dict keys."""

# N batch, C D channels, H W map height and width, h w strided height and width

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
"""How logits become scores: over classes and background, or each class by itself."""

INIT_STD = 0.03


@dataclass(frozen=True, slots=True)
class BlockStyle:
    """What every block of one network shares.

    Attributes:
        norm: ``batch``, or ``none`` for biased convolutions without a norm, as folding BatchNorm
            into the convolutions gives.
        activation: ``relu6``, ``relu`` for runtimes that lack ReLU6, or ``hardswish``.
        padding: Of strided layers: half the kernel on every side (``symmetric``), or as
            TensorFlow's ``same``, which puts the odd pixel to the right and below.
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
        """A convolution that keeps the map's size at stride 1, and its norm if there is one.

        Without a norm the convolution has a bias whatever ``bias`` says.

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
        """A new activation module, which works in place."""
        return ACTIVATIONS[self.activation](inplace=True)


class StridedConv(nn.Conv2d):
    """A strided convolution, which CPU autocast leaves in float32 if it is depthwise.

    The bf16 gradient of depthwise ones takes oneDNN 7 to 40 times as long as the float32 one, more
    than the rest of their block. Where a side of the map is one pixel, it also leaves the gradient
    of weights that touch only padding uninitialised.

    ``kernel`` is odd; ``padding`` is ``symmetric`` or ``same``, as in `BlockStyle`.
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
        """The strided map, in the dtype of the features."""
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
        """Pixels before and after a side, so that the strided one is ceil(size / stride)."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        # Of positive numbers alone: some tracers round a negative quotient towards zero.
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
    """SSDLite's prediction layer: depthwise 3x3 with norm and activation, then 1x1 with bias.

    MobileNetV2, arXiv 1801.04381, section 6.2. ``bias`` is that of the depthwise convolution.
    """
    depthwise = ConvNormAct(inputs, inputs, style, groups=inputs, bias=bias)
    return nn.Sequential(depthwise, nn.Conv2d(inputs, outputs, 1))


def make_divisible(channels: float, minimum: int = 8) -> int:
    """The multiple of 8 nearest to ``channels``, at least 90% of it and ``minimum``.

    The rounding of the authors' code for width multipliers.
    """
    rounded = max(minimum, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def initialise(network: nn.Module) -> None:
    """Set convolutions and linear layers to N(0, 0.03) and biases to 0.

    Norms stay the identity, but for the last one of a block with a shortcut (``is_residual``): its
    scale starts at 0, so that the block starts as the identity and the network as a shallower one
    (arXiv 1706.02677, section 5.1).
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
