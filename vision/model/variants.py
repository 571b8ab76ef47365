"""What sets the SSDLite-MobileNetV2 of one project apart from that of another."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["PRESETS", "Padding", "Preset", "PriorStyle", "Scores", "Tap"]

Padding: TypeAlias = Literal["symmetric", "same"]
Tap: TypeAlias = Literal["expansion", "output"]
Scores: TypeAlias = Literal["softmax", "sigmoid"]


@dataclass(frozen=True, slots=True)
class PriorStyle:
    """How priors are laid out; lengths are shares of the image's sides.

    Attributes:
        scales: Of each level; None for even steps from ``model.priors``.
        last_scale: What the last level's second square takes the geometric mean with.
        strides: Between the centres of each level; None for 1 / map size, which tiles the image.
        limits: What is cut to 0..1: nothing, the sides, or sides and centres.
        few_on_first: Three priors a cell on the first level: a square of half the scale, and
            ratios 2 and 1/2 of the scale.
    """

    scales: tuple[float, ...] | None = None
    last_scale: float = 1.0
    strides: tuple[float, ...] | None = None
    limits: Literal["none", "sides", "all"] = "sides"
    few_on_first: bool = False


@dataclass(frozen=True, slots=True)
class Preset:
    """One project's network.

    Attributes:
        tap: The first map that heads look at: the ``expansion`` of block 14, or the ``output`` of
            block 13 before it.
        padding: Of layers of stride 2: 1 on every side (``symmetric``), or as TensorFlow's
            ``same``, which puts the odd pixel to the right and below.
        norm_eps: BatchNorm's epsilon.
        norm_momentum: Share of the new in BatchNorm's running statistics.
        min_channels: Fewest channels of a layer of the trunk.
        narrows_all: Whether a width multiplier below 1 narrows the trunk's last map, and any
            multiplier the extra layers.
        last_extra: Channels of the last extra layer.
        linear_extras: Whether the last convolution of extra layers has no activation.
        biased_depthwise: Whether the heads' depthwise convolutions have biases before their norm.
        plain_last_head: Whether the last level's heads are one 1x1 convolution.
        scores: From logits to scores.
        cuts_first: Whether boxes are cut at the image's borders before suppression, or after it.
        pixel_mean: What is taken from red, green and blue, 0 to 255.
        pixel_std: What that is divided by.
        priors: Their layout.
    """

    tap: Tap = "expansion"
    padding: Padding = "symmetric"
    norm_eps: float = 1e-3
    norm_momentum: float = 0.03
    min_channels: int = 8
    narrows_all: bool = False
    last_extra: int = 128
    linear_extras: bool = False
    biased_depthwise: bool = False
    plain_last_head: bool = False
    scores: Scores = "softmax"
    cuts_first: bool = True
    pixel_mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    pixel_std: tuple[float, float, float] = (127.5, 127.5, 127.5)
    priors: PriorStyle = PriorStyle()


PRESETS: dict[str, Preset] = {
    "ssdlite": Preset(),
    "torchvision": Preset(
        norm_eps=1e-5,
        norm_momentum=0.1,
        pixel_mean=(123.675, 116.28, 103.53),
        pixel_std=(58.395, 57.12, 57.375),
    ),
    "tensorflow": Preset(
        padding="same",
        # Theirs is 0.0003, for hundreds of thousands of steps; it would not follow a fine-tuning.
        min_channels=16,
        narrows_all=True,
        scores="sigmoid",
        cuts_first=False,
        priors=PriorStyle(limits="none", few_on_first=True),
    ),
    "qfgaohao": Preset(
        norm_eps=1e-5,
        norm_momentum=0.1,
        last_extra=64,
        linear_extras=True,
        biased_depthwise=True,
        plain_last_head=True,
        cuts_first=False,
        pixel_mean=(127.0, 127.0, 127.0),
        pixel_std=(128.0, 128.0, 128.0),
        priors=PriorStyle(
            scales=(0.2, 0.35, 0.5, 0.65, 0.8, 0.95),
            last_scale=1.1,
            strides=(16 / 300, 32 / 300, 64 / 300, 100 / 300, 150 / 300, 300 / 300),
            limits="all",
        ),
    ),
    "mmdetection": Preset(
        tap="output",
        pixel_mean=(123.675, 116.28, 103.53),
        pixel_std=(58.395, 57.12, 57.375),
        priors=PriorStyle(
            scales=(48 / 320, 100 / 320, 150 / 320, 202 / 320, 253 / 320, 304 / 320),
            strides=(16 / 320, 32 / 320, 64 / 320, 107 / 320, 160 / 320, 320 / 320),
            limits="none",
        ),
    ),
    "lufficc": Preset(
        tap="output",
        norm_eps=1e-5,
        norm_momentum=0.1,
        last_extra=64,
        linear_extras=True,
        biased_depthwise=True,
        plain_last_head=True,
        cuts_first=False,
        pixel_mean=(123.0, 117.0, 104.0),
        pixel_std=(1.0, 1.0, 1.0),
        priors=PriorStyle(
            scales=(60 / 320, 105 / 320, 150 / 320, 195 / 320, 240 / 320, 285 / 320),
            last_scale=330 / 320,
            strides=(16 / 320, 32 / 320, 64 / 320, 107 / 320, 160 / 320, 320 / 320),
            limits="all",
        ),
    ),
}
"""By ``model.preset``: this project's own, and those of other projects.

``torchvision`` is our own with the constants of torchvision's ImageNet trunk.
"""
