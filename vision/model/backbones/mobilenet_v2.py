"""MobileNetV2 (arXiv 1801.04381): an image classifier, and the trunk of the detector."""

# N batch, H W image height and width, K classes

from jaxtyping import Float
from torch import Tensor, nn

from vision.model.backbones.base import Taps, Trunk
from vision.model.layers import (
    Activation,
    BlockStyle,
    ConvNormAct,
    InvertedResidual,
    Norm,
    initialise,
    make_divisible,
)
from vision.model.variants import Preset

__all__ = ["MobileNetV2"]

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
FINE_BLOCK = 7
"""The first block of stride 16: its input is the last map of stride 8."""
TAP_BLOCK = 14
"""The first block of stride 32: its expansion is the last map of stride 16."""


class MobileNetV2(Trunk):
    """A classifier whose state-dict keys are torchvision's, with the taps that SSDLite needs.

    The paper's printed table has two slips. The 64-channel stage (bottlenecks 7 to 10) has stride
    2, so the map after it is 14x14 for a 224x224 image, where early versions print 28x28. And the
    text counts 19 bottlenecks where the table sums to 17.

    Args:
        num_classes: Outputs of the classifier; 0 leaves it out, for a trunk.
        width_mult: Multiplier of all channels, rounded to multiples of 8; below 1 it leaves the
            last convolution at 1280 (section 5 of the paper's text on width multipliers).
        dropout: Share of features zeroed before the classifier while training.
        norm: ``batch``, or ``none`` for biased convolutions: the form that BN fusion gives.
        activation: ``relu6`` or ``relu``, in every layer.
        preset: Whose network it is; by default the paper's, as torchvision has it.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        *,
        dropout: float = 0.2,
        norm: Norm = "batch",
        activation: Activation = "relu6",
        preset: Preset = Preset(),  # noqa: B008
    ) -> None:
        super().__init__()
        style = BlockStyle(norm, activation, preset)
        self.tap = preset.tap
        least = preset.min_channels
        channels = make_divisible(STEM_CHANNELS * width_mult, least=least)
        last_mult = width_mult if preset.narrows_all else max(1.0, width_mult)
        last_channels = make_divisible(LAST_CHANNELS * last_mult, least=least)
        layers: list[nn.Module] = [ConvNormAct(3, channels, style, stride=2)]
        for expand, stage_channels, repeats, stride in STAGES:
            outputs = make_divisible(stage_channels * width_mult, least=least)
            for repeat in range(repeats):
                block_stride = stride if repeat == 0 else 1
                if len(layers) == FINE_BLOCK:
                    fine = channels
                if len(layers) == TAP_BLOCK:
                    tapped = channels * expand if self.tap == "expansion" else channels
                    self.tap_channels = (fine, tapped, last_channels)
                block = InvertedResidual(
                    channels, outputs, style, stride=block_stride, expand=expand
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

    def forward(self, images: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N K"]:
        """Class logits of images of any size; the pooled features where there is no classifier."""
        pooled = self.features(images).mean(dim=(2, 3))
        logits: Tensor = self.classifier(pooled)
        return logits

    def layers(self) -> list[nn.Module]:
        """The first convolution, 17 blocks and the last convolution."""
        return list(self.features)

    def taps(self, images: Float[Tensor, "N 3 H W"]) -> Taps:
        """The last maps of stride 8, of stride 16 (see `Preset.tap`) and of stride 32."""
        block = self.features[TAP_BLOCK]
        assert isinstance(block, InvertedResidual)
        stride8 = self.features[:FINE_BLOCK](images)
        before = self.features[FINE_BLOCK:TAP_BLOCK](stride8)
        expansion = block.conv[0](before)
        stride32 = self.features[TAP_BLOCK + 1 :](block.conv[1:](expansion))
        return Taps(stride8, expansion if self.tap == "expansion" else before, stride32)
