"""MobileNetV2 (arXiv 1801.04381): an image classifier, and a backbone of the detector."""

# N batch, C D input and output channels, H W image or map size, h w map size after the stride

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from vision.model.backbones.base import Backbone, FeatureMaps
from vision.model.layers import BlockStyle, ConvNormAct, initialise, make_divisible

# Rows of the paper's table 2: (expansion, channels, repeats, stride of the first block).
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STEM_CHANNELS = 32
LAST_CHANNELS = 1280
FIRST_OF_STRIDE_16 = 7
"""Index of the first block of stride 16, whose input is the last map of stride 8."""
FIRST_OF_STRIDE_32 = 14
"""Index of the first block of stride 32, whose expansion is the last map of stride 16."""


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, linear 1x1; with a shortcut if input and output shapes are equal.

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
        """Apply the block."""
        output: Tensor = self.conv(features)
        return features + output if self.is_residual else output


class MobileNetV2(Backbone):
    """The classifier, with torchvision's state-dict keys, and the feature maps for SSDLite.

    The paper has two slips: its early versions print 28x28 for the map after the 64-channel stage,
    which is 14x14 because the stage has stride 2, and its text counts 19 bottlenecks, while the
    repeats in table 2 sum to 17.

    Args:
        num_classes: Number of classes; 0 for a backbone without a classifier.
        width_mult: Multiplier of all channel counts, which are rounded to multiples of 8.
        style: Norm, activation and padding of every layer.
        dropout: Fraction of the features zeroed before the classifier during training.
        map_of_stride_16: The ``expansion`` of block 14, or the ``output`` of block 13 before it.
        min_channels: Minimum number of channels of a layer.
        scale_all_channels: Whether a width multiplier below 1 also narrows the last convolution,
            which otherwise keeps 1280 channels (section 4, "Trade-off hyper parameters").
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        style: BlockStyle = BlockStyle(),  # noqa: B008
        *,
        dropout: float = 0.2,
        map_of_stride_16: Literal["expansion", "output"] = "expansion",
        min_channels: int = 8,
        scale_all_channels: bool = False,
    ) -> None:
        super().__init__()
        self.map_of_stride_16 = map_of_stride_16
        channels = make_divisible(STEM_CHANNELS * width_mult, minimum=min_channels)
        last_mult = width_mult if scale_all_channels else max(1.0, width_mult)
        last_channels = make_divisible(LAST_CHANNELS * last_mult, minimum=min_channels)
        layers: list[nn.Module] = [ConvNormAct(3, channels, style, stride=2)]
        for expand, stage_channels, repeats, stride in STAGES:
            outputs = make_divisible(stage_channels * width_mult, minimum=min_channels)
            for repeat in range(repeats):
                if len(layers) == FIRST_OF_STRIDE_16:
                    stride8 = channels
                if len(layers) == FIRST_OF_STRIDE_32:
                    stride16 = channels * (expand if map_of_stride_16 == "expansion" else 1)
                    self.feature_channels = (stride8, stride16, last_channels)
                block = InvertedResidual(
                    channels, outputs, style, stride=stride if repeat == 0 else 1, expand=expand
                )
                layers.append(block)
                channels = outputs
        layers.append(ConvNormAct(channels, last_channels, style, kernel=1))
        self.features = nn.Sequential(*layers)
        self.classifier = (
            nn.Sequential(nn.Dropout(dropout), nn.Linear(last_channels, num_classes))
            if num_classes
            else nn.Identity()
        )
        initialise(self)

    def feature_maps(self, images: Float[Tensor, "N 3 H W"]) -> FeatureMaps:
        """Compute the last maps of stride 8, 16 (see ``map_of_stride_16``) and 32."""
        block = self.features[FIRST_OF_STRIDE_32]
        assert isinstance(block, InvertedResidual)
        stride8 = self.features[:FIRST_OF_STRIDE_16](images)
        output = self.features[FIRST_OF_STRIDE_16:FIRST_OF_STRIDE_32](stride8)
        expansion = block.conv[0](output)
        stride32 = self.features[FIRST_OF_STRIDE_32 + 1 :](block.conv[1:](expansion))
        stride16 = expansion if self.map_of_stride_16 == "expansion" else output
        return FeatureMaps(stride8, stride16, stride32)
