"""MobileNetV3-Large (arXiv 1905.02244): an image classifier, and a backbone of the detector."""

# N batch, C D input and output channels, H W image or map size, h w map size after the stride

from dataclasses import replace
from typing import Literal, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vision.model.backbones.base import Backbone, FeatureMaps
from vision.model.layers import BlockStyle, ConvNormAct, initialise, make_divisible


class _Block(NamedTuple):
    """A row of the paper's table 1."""

    kernel: int
    expanded: int
    channels: int
    has_squeeze: bool
    activation: Literal["relu", "hardswish"]
    stride: int


BLOCKS = (
    _Block(3, 16, 16, has_squeeze=False, activation="relu", stride=1),
    _Block(3, 64, 24, has_squeeze=False, activation="relu", stride=2),
    _Block(3, 72, 24, has_squeeze=False, activation="relu", stride=1),
    _Block(5, 72, 40, has_squeeze=True, activation="relu", stride=2),
    _Block(5, 120, 40, has_squeeze=True, activation="relu", stride=1),
    _Block(5, 120, 40, has_squeeze=True, activation="relu", stride=1),
    _Block(3, 240, 80, has_squeeze=False, activation="hardswish", stride=2),
    _Block(3, 200, 80, has_squeeze=False, activation="hardswish", stride=1),
    _Block(3, 184, 80, has_squeeze=False, activation="hardswish", stride=1),
    _Block(3, 184, 80, has_squeeze=False, activation="hardswish", stride=1),
    _Block(3, 480, 112, has_squeeze=True, activation="hardswish", stride=1),
    _Block(3, 672, 112, has_squeeze=True, activation="hardswish", stride=1),
    _Block(5, 672, 160, has_squeeze=True, activation="hardswish", stride=2),
    _Block(5, 960, 160, has_squeeze=True, activation="hardswish", stride=1),
    _Block(5, 960, 160, has_squeeze=True, activation="hardswish", stride=1),
)
STEM_CHANNELS = 16
HIDDEN_CHANNELS = 1280
"""Channels of the classifier's hidden layer."""
LAST_EXPANSION = 6
"""Ratio of the last convolution's channels to the last block's."""
FIRST_OF_STRIDE_16 = 7
"""Index of the first block of stride 16, whose input is the last map of stride 8."""
FIRST_OF_STRIDE_32 = 13
"""Index of the first block of stride 32, whose expansion is the last map of stride 16."""


class SqueezeExcitation(nn.Module):
    """Multiply each channel by a gate computed from the means of all channels (section 5.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = make_divisible(channels / 4)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, features: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
        """Apply the gates."""
        means = features.mean(dim=(2, 3), keepdim=True)
        gates = functional.hardsigmoid(self.fc2(functional.relu(self.fc1(means))))
        return features * gates


class BottleneckV3(nn.Module):
    """Expand 1x1, depthwise, squeeze and excite, linear 1x1; with a shortcut if shapes are equal.

    Figure 4 of the paper, with the squeeze and excitation after the depthwise layer's activation.
    """

    def __init__(self, inputs: int, row: _Block, style: BlockStyle) -> None:
        super().__init__()
        style = replace(style, activation=row.activation)
        expanded, outputs = row.expanded, row.channels
        expansion = [] if expanded == inputs else [ConvNormAct(inputs, expanded, style, kernel=1)]
        squeeze = [SqueezeExcitation(expanded)] if row.has_squeeze else []
        depthwise = ConvNormAct(
            expanded, expanded, style, kernel=row.kernel, stride=row.stride, groups=expanded
        )
        projection = nn.Sequential(*style.conv_norm(expanded, outputs, kernel=1))
        self.block = nn.Sequential(*expansion, depthwise, *squeeze, projection)
        self.is_residual = row.stride == 1 and inputs == outputs

    def forward(self, features: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D h w"]:
        """Apply the block."""
        output: Tensor = self.block(features)
        return features + output if self.is_residual else output


class MobileNetV3Large(Backbone):
    """The classifier, with torchvision's state-dict keys, and the feature maps for SSDLite.

    Args:
        num_classes: Number of classes; 0 for a backbone without a classifier.
        width_mult: Multiplier of all channel counts, which are rounded to multiples of 8.
        style: Norm and padding; the activations are the paper's, ReLU and hard swish.
        dropout: Fraction of the features zeroed before the last layer during training.
        reduced_tail: Whether the last stage has half the channels, as in the paper's detectors
            (section 6.3).
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        style: BlockStyle = BlockStyle(),  # noqa: B008
        *,
        dropout: float = 0.2,
        reduced_tail: bool = False,
    ) -> None:
        super().__init__()
        hard = replace(style, activation="hardswish")
        channels = make_divisible(STEM_CHANNELS * width_mult)
        layers: list[nn.Module] = [ConvNormAct(3, channels, hard, stride=2)]
        widths = [channels]
        for index, row in enumerate(BLOCKS, 1):
            # The expansion of the tail's first block is the map of stride 16 and stays whole.
            halved = reduced_tail and index >= FIRST_OF_STRIDE_32
            expanded = row.expanded // (2 if halved and index > FIRST_OF_STRIDE_32 else 1)
            scaled = row._replace(
                expanded=make_divisible(expanded * width_mult),
                channels=make_divisible(row.channels // (2 if halved else 1) * width_mult),
            )
            if index == FIRST_OF_STRIDE_32:
                stride16 = scaled.expanded
            layers.append(BottleneckV3(widths[-1], scaled, style))
            widths.append(scaled.channels)
        last = LAST_EXPANSION * widths[-1]
        layers.append(ConvNormAct(widths[-1], last, hard, kernel=1))
        self.feature_channels = (widths[FIRST_OF_STRIDE_16 - 1], stride16, last)
        self.features = nn.Sequential(*layers)
        hidden = make_divisible(HIDDEN_CHANNELS // (2 if reduced_tail else 1) * width_mult)
        self.classifier = (
            nn.Sequential(
                nn.Linear(last, hidden),
                nn.Hardswish(inplace=True),
                nn.Dropout(dropout),
                nn.Linear(hidden, num_classes),
            )
            if num_classes
            else nn.Identity()
        )
        initialise(self)

    def feature_maps(self, images: Float[Tensor, "N 3 H W"]) -> FeatureMaps:
        """Compute the last maps of stride 8, 16 (block 13's expansion) and 32."""
        block = self.features[FIRST_OF_STRIDE_32]
        assert isinstance(block, BottleneckV3)
        stride8 = self.features[:FIRST_OF_STRIDE_16](images)
        stride16 = block.block[0](self.features[FIRST_OF_STRIDE_16:FIRST_OF_STRIDE_32](stride8))
        stride32 = self.features[FIRST_OF_STRIDE_32 + 1 :](block.block[1:](stride16))
        return FeatureMaps(stride8, stride16, stride32)
