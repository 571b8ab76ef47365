"""The backbones that a detector can be built on.

To add one, write a file here with a `Backbone`: a module that is built from (0, width multiplier,
`BlockStyle`), says its ``feature_channels``, lists its ``stages`` and gives its ``feature_maps`` of
stride 8, 16 and 32. Then make two edits: an entry in `BACKBONES` below, and its name in the
``Literal`` of ``ModelConfig.backbone`` (``vision/config/model.py``).
"""

from collections.abc import Callable

from vision.model.backbones.base import Backbone, FeatureMaps
from vision.model.backbones.mobilenet_v2 import MobileNetV2
from vision.model.backbones.mobilenet_v3 import MobileNetV3Large

__all__ = ["BACKBONES", "Backbone", "FeatureMaps", "MobileNetV2", "MobileNetV3Large"]

BACKBONES: dict[str, Callable[..., Backbone]] = {
    "mobilenet_v2": MobileNetV2,
    "mobilenet_v3_large": MobileNetV3Large,
}
"""By ``model.backbone``."""
