"""SSDLite-MobileNetV2 object detection: train, evaluate, detect.

>>> from vision import Detector
>>> detector = Detector.load("best.safetensors", score=0.4)
>>> detections = detector(rgb_uint8)
"""

from importlib.metadata import version

from vision.config import load_config
from vision.detector import Detector
from vision.structures import Detections, Target

__all__ = ["Detections", "Detector", "Target", "__version__", "load_config"]

__version__ = version("ssdlite")
