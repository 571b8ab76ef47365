"""SSDLite object detection: train, evaluate, detect.

>>> from vision import Detector
>>> detector = Detector.load("best.safetensors", score=0.4)
>>> detections = detector("photo.jpg")
>>> print(detections.summary())

These names are imported when they are first used: ``import vision`` does not import PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vision.api import evaluate, train
    from vision.config import load_config
    from vision.detections import Detections
    from vision.detector import Detector
    from vision.rows import Detection
    from vision.structures import Target

    __version__: str

__all__ = [
    "Detection",
    "Detections",
    "Detector",
    "Target",
    "__version__",
    "evaluate",
    "load_config",
    "train",
]

_MODULES = {
    "Detection": "vision.rows",
    "Detections": "vision.detections",
    "Detector": "vision.detector",
    "Target": "vision.structures",
    "evaluate": "vision.api",
    "load_config": "vision.config",
    "train": "vision.api",
}
"""The module that defines each public name."""
_NOT_INSTALLED = "0+unknown"
"""Version that is reported for a clone that is not installed."""


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name == "__version__":
        value: Any = _version()
    elif name in _MODULES:
        value = getattr(import_module(_MODULES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from vision.extras import package_version  # noqa: PLC0415

    return package_version("ssdlite") or _NOT_INSTALLED
