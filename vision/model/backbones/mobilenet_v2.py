"""MobileNetV2 (arXiv 1801.04381): an image classifier, and a backbone of the detector."""

# N batch, C D channels, H W image or map height and width, h w strided height and width

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from vision.model.backbones.base import Backbone, FeatureMaps
from vision.model.layers import BlockStyle, ConvNormAct, initialise, make_divisible

# (expansion, channels, repeats, stride of the first): the paper's table 2.
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
"""The first block of stride 16: its input is the last map of stride 8."""
FIRST_OF_STRIDE_32 = 14
"""The first block of stride 32: its expansion is the last map of stride 16."""


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


class MobileNetV2(Backbone):
    """A classifier whose state-dict keys are torchvision's, with the feature maps of SSDLite.

    The paper has two slips: its early versions print 28x28 for the map after the 64-channel stage,
    which has stride 2 and so gives 14x14, and its text counts 19 bottlenecks where the table sums
    to 17.

    Args:
        num_classes: Outputs of the classifier; 0 leaves it out, for a backbone.
        width_mult: Multiplier of all channels, rounded to multiples of 8.
        style: Norm, activation and padding of every layer.
        dropout: Fraction of features zeroed before the classifier while training.
        map_of_stride_16: The ``expansion`` of block 14, or the ``output`` of block 13 before it.
        min_channels: Fewest channels of a layer.
        scale_all_channels: Whether a width multiplier below 1 narrows the last convolution too,
            which otherwise stays at 1280 (section 5 of the paper's text on width multipliers).
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
        """The last maps of stride 8, of stride 16 (see ``map_of_stride_16``) and of stride 32."""
        block = self.features[FIRST_OF_STRIDE_32]
        assert isinstance(block, InvertedResidual)
        stride8 = self.features[:FIRST_OF_STRIDE_16](images)
        output = self.features[FIRST_OF_STRIDE_16:FIRST_OF_STRIDE_32](stride8)
        expansion = block.conv[0](output)
        stride32 = self.features[FIRST_OF_STRIDE_32 + 1 :](block.conv[1:](expansion))
        stride16 = expansion if self.map_of_stride_16 == "expansion" else output
        return FeatureMaps(stride8, stride16, stride32)
