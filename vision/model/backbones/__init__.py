"""The backbones that a detector can be built on."""

from vision.model.backbones.base import Taps, Trunk
from vision.model.backbones.mobilenet_v2 import MobileNetV2

__all__ = ["MobileNetV2", "Taps", "Trunk"]
