"""The differences between the SSDLite networks of several projects."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vision.model.layers import Padding
from vision.model.priors import PriorLayout
from vision.model.ssdlite import PixelRange

IMAGENET_PIXELS = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
STRIDES_OF_320 = (16 / 320, 32 / 320, 64 / 320, 107 / 320, 160 / 320, 320 / 320)


@dataclass(frozen=True, slots=True)
class Variant:
    """The settings of one project's network, which `vision.model.build` passes to its parts.

    Attributes:
        backbone: Keyword arguments of the backbone, apart from width and style.
        padding: Padding of strided layers, as in `BlockStyle`.
        norm_eps: Epsilon of BatchNorm.
        norm_momentum: Weight of the new batch in BatchNorm's running statistics.
        scale_all_channels: Whether the width multiplier scales the extra layers too.
        last_extra_channels: Channels of the last extra layer.
        linear_extras: Whether the last convolution of extra layers has no activation.
        biased_depthwise: Whether the heads' depthwise convolutions have biases before their norm.
        last_head_1x1: Whether the last level's heads are single 1x1 convolutions.
        clip_before_nms: Whether boxes are clipped to the image before or after suppression.
        pixels: Values subtracted from red, green and blue (0 to 255), and divisors of the result.
        layout: Layout of the priors, without the scales that ``model.priors`` sets.
    """

    backbone: Mapping[str, Any] = field(default_factory=dict)
    padding: Padding = "symmetric"
    norm_eps: float = 1e-3
    norm_momentum: float = 0.03
    scale_all_channels: bool = False
    last_extra_channels: int = 128
    linear_extras: bool = False
    biased_depthwise: bool = False
    last_head_1x1: bool = False
    clip_before_nms: bool = True
    pixels: PixelRange = ((127.5,) * 3, (127.5,) * 3)
    layout: PriorLayout = field(default_factory=PriorLayout)


QFGAOHAO = Variant(
    norm_eps=1e-5,
    norm_momentum=0.1,
    last_extra_channels=64,
    linear_extras=True,
    biased_depthwise=True,
    last_head_1x1=True,
    clip_before_nms=False,
    pixels=((127.0,) * 3, (128.0,) * 3),
    layout=PriorLayout(
        scales=(0.2, 0.35, 0.5, 0.65, 0.8, 0.95),
        last_scale=1.1,
        strides=(16 / 300, 32 / 300, 64 / 300, 100 / 300, 150 / 300, 300 / 300),
        clip="all",
    ),
)

VARIANTS: dict[str, Variant] = {
    "ssdlite": Variant(),
    "torchvision": Variant(norm_eps=1e-5, norm_momentum=0.1, pixels=IMAGENET_PIXELS),
    "torchvision_v3": Variant(pixels=IMAGENET_PIXELS),
    "torchvision_ssdlite": Variant(backbone={"reduced_tail": True}),
    "tensorflow": Variant(
        backbone={"min_channels": 16, "scale_all_channels": True},
        padding="same",
        # TensorFlow's momentum of 0.0003 suits hundreds of thousands of steps, but is too slow for
        # fine-tuning, so the default is kept.
        scale_all_channels=True,
        clip_before_nms=False,
        layout=PriorLayout(clip="none", reduce_boxes_in_lowest_layer=True),
    ),
    "qfgaohao": QFGAOHAO,
    "mmdetection": Variant(
        backbone={"map_of_stride_16": "output"},
        pixels=IMAGENET_PIXELS,
        layout=PriorLayout(
            scales=(48 / 320, 100 / 320, 150 / 320, 202 / 320, 253 / 320, 304 / 320),
            strides=STRIDES_OF_320,
            clip="none",
        ),
    ),
    "lufficc": replace(
        QFGAOHAO,
        backbone={"map_of_stride_16": "output"},
        pixels=((123.0, 117.0, 104.0), (1.0,) * 3),
        layout=PriorLayout(
            scales=(60 / 320, 105 / 320, 150 / 320, 195 / 320, 240 / 320, 285 / 320),
            last_scale=330 / 320,
            strides=STRIDES_OF_320,
            clip="all",
        ),
    ),
}
"""The variants by ``model.preset``: this project's own, and those of other projects.

``torchvision`` and ``torchvision_v3`` are this project's own with the constants of torchvision's
ImageNet backbones, MobileNetV2 and V3; ``torchvision_ssdlite`` is torchvision's COCO detector on
MobileNetV3.
"""
