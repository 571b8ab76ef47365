"""What users choose from by name: tables that the command line reads without importing PyTorch."""

from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeAlias

GRAPH_BACKENDS: dict[str, str] = {
    "onnx": "vision.runtime.onnx_backend:OnnxBackend",
    "openvino": "vision.runtime.openvino_backend:OpenVinoBackend",
    "litert": "vision.runtime.litert_backend:LiteRtBackend",
    "executorch": "vision.runtime.executorch_backend:ExecuTorchBackend",
    "ncnn": "vision.runtime.ncnn_backend:NcnnBackend",
}
"""What writes and runs exported graphs, and its class."""
BACKENDS: dict[str, str] = {
    "torch": "vision.runtime.torch_backend:TorchBackend",
    **GRAPH_BACKENDS,
}
"""What runs a network, and its class."""
BACKEND_ALIASES = {"tflite": "litert"}
"""Other names by which a backend is known."""
WEB = "web"
"""What ``ssdlite export`` writes beside the files of backends: a page for browsers."""
Precision: TypeAlias = Literal["fp32", "bf16", "fp16", "int8", "int8w", "int8full"]
"""What the layers of a network compute in: with int8w only the weights are in 8 bits, with int8full
input and outputs too."""
CALIBRATED: tuple[Precision, ...] = ("int8", "int8full")
"""Precisions of exported graphs whose ranges are measured on images."""
MAX_THREADS = 1024
"""Upper limit of numbers of threads: with 100,000 OpenMP ends the process."""
MAX_TILES = 16
"""Tiles along each side of an image at most: 257 passes of the network with the whole image."""
Form: TypeAlias = Literal["raw", "decoded", "nms", "jetson", "ssd", "frigate"]
FORMS_OF: dict[tuple[str, Precision], tuple[Form, ...]] = {
    ("litert", "int8full"): ("raw",),
    ("openvino", "fp16"): ("raw", "decoded", "nms", "jetson"),  # frigate's scores move by .005
}
"""Forms of a backend's files of a precision, where it has not all of the backend's forms."""

FORMS: dict[str, str] = {
    "raw": "logits and offsets, as the heads give them",
    "decoded": "boxes and scores of every prior, for Detector",
    "nms": "detections, suppression included",
    "jetson": "boxes and scores in jetson-inference's names and order",
    "ssd": "boxes, classes, scores and count of TFLite's SSD operator, for MediaPipe and Coral",
    "frigate": "rows of seven numbers from BGR pixels, for Frigate's OpenVINO detector",
}
"""What an exported graph of each form gives."""
RESULTS = {
    "json": "detections.json",
    "coco": "coco_results.json",
    "csv": "detections.csv",
    "parquet": "detections.parquet",
}
"""File names of detections by format."""
FOLDERS = ("crops", "yolo", "labelme")
"""What detection can write for each image beside its picture, in a folder of that name."""
_INSTALLED, _CLONED = (folder / "configs" for folder in Path(__file__).parents[:2])
CONFIGS: Path = _INSTALLED if _INSTALLED.is_dir() else _CLONED
"""Folder of the configurations in the package, and of their lists of images in ``splits/``."""
SHIPPED_WEIGHTS = ("coco", "voc")
"""The detectors in the package: of COCO's 80 classes, and of VOC's 20."""
SOURCES = {
    "tensorflow": "vision.convert.tensorflow:TENSORFLOW",
    "torchvision": "vision.convert.torchvision:TORCHVISION",
    "qfgaohao": "vision.convert.qfgaohao:QFGAOHAO",
    "mmdetection": "vision.convert.mmdetection:MMDETECTION",
    "lufficc": "vision.convert.lufficc:LUFFICC",
}
"""Projects whose checkpoints can be converted, and the layout of these."""
DATA_FORMATS = {
    "voc": "vision.formats.voc",
    "coco": "vision.formats.coco",
    "yolo": "vision.formats.yolo",
    "open_images": "vision.formats.open_images",
    "image_folder": "vision.formats.image_folder",
    "webdataset": "vision.formats.webdataset",
    "auto": "vision.data.auto",
    "synthetic": "vision.data.synthetic",
}
"""Formats of a data source, and the module that has its ``read_FORMAT``."""
WRITTEN_FORMATS = ("voc", "coco", "yolo", "webdataset")
"""Formats whose module has a ``write_FORMAT`` too."""
CocoEngine: TypeAlias = Literal["faster", "pycocotools"]
"""What computes COCO's metrics: vectorised code of this package, or the reference."""
DOWNLOADS = ("voc2007", "voc2012", "coco2017")
"""Public data sets that ``ssdlite download`` loads."""


def device_name(name: str) -> str:
    """PyTorch's name of a device that other tools call ``gpu`` or by its number."""
    return f"cuda:{name}" if name.isdecimal() else "cuda" if name.lower() == "gpu" else name


def import_choice(place: str) -> Any:  # noqa: ANN401
    """What an entry ``module:name`` of one of these tables stands for."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
