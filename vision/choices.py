"""What users choose from by name: tables that the command line reads without importing PyTorch."""

from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias


class BackendChoice(NamedTuple):
    """A backend.

    Attributes:
        place: Its module and class.
        writes_files: Whether it has files of its own, which ``ssdlite export`` writes.
    """

    place: str
    writes_files: bool = True


BACKENDS: dict[str, BackendChoice] = {
    "torch": BackendChoice("vision.runtime.torch_backend:TorchBackend", writes_files=False),
    "onnx": BackendChoice("vision.runtime.onnx_backend:OnnxBackend"),
    "openvino": BackendChoice("vision.runtime.openvino_backend:OpenVinoBackend"),
}
"""What runs a network."""
Precision: TypeAlias = Literal["fp32", "bf16", "fp16", "int8"]
"""What the layers of a network compute in."""
Form: TypeAlias = Literal["raw", "decoded", "nms", "jetson"]

FORMS: dict[str, str] = {
    "raw": "logits and offsets, as the heads give them",
    "decoded": "boxes and scores of every prior, for Detector",
    "nms": "detections, suppression included",
    "jetson": "boxes and scores in jetson-inference's names and order",
}
"""What an exported graph of each form gives."""
RESULTS = {"json": "detections.json", "coco": "coco_results.json", "csv": "detections.csv"}
"""File names of detections by format."""
_INSTALLED, _CLONED = (folder / "configs" for folder in Path(__file__).parents[:2])
CONFIGS: Path = _INSTALLED if _INSTALLED.is_dir() else _CLONED
"""Folder of the configurations in the package, and of their lists of images in ``splits/``."""
SHIPPED_WEIGHTS = ("coco", "voc")
"""The detectors in the package: of COCO's 80 classes, and of VOC's 20."""
SOURCES = ("tensorflow", "torchvision", "qfgaohao", "mmdetection", "lufficc")
"""Projects whose checkpoints can be converted."""
DOWNLOADS = ("voc2007", "voc2012", "coco2017")
"""Public data sets that ``ssdlite download`` loads."""
