"""The backbones that a detector can be built on.

``docs/architecture.md`` says how to add one.
"""

from collections.abc import Callable

from vision.model.backbones.base import Backbone
from vision.model.backbones.mobilenet_v2 import MobileNetV2
from vision.model.backbones.mobilenet_v3 import MobileNetV3Large

__all__ = ["BACKBONES", "Backbone", "MobileNetV2", "MobileNetV3Large"]

BACKBONES: dict[str, Callable[..., Backbone]] = {
    "mobilenet_v2": MobileNetV2,
    "mobilenet_v3_large": MobileNetV3Large,
}
"""The backbone classes by their name in ``model.backbone``."""
