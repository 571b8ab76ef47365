"""Tables of the names that users choose from; the command line reads them without PyTorch."""

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
"""Backends that write and run exported graphs, and their classes."""
BACKENDS: dict[str, str] = {
    "torch": "vision.runtime.torch_backend:TorchBackend",
    **GRAPH_BACKENDS,
}
"""All backends that run a network, and their classes."""
BACKEND_ALIASES = {"tflite": "litert"}
"""Other names of backends."""
WEB = "web"
"""What ``ssdlite export`` can write besides the files of backends: a page for browsers."""
Precision: TypeAlias = Literal["fp32", "bf16", "fp16", "int8", "int8w", "int8full"]
"""Number format of a network's layers: with int8w, only the weights have 8 bits; with int8full,
input and outputs have 8 bits too."""
CALIBRATED: tuple[Precision, ...] = ("int8", "int8full")
"""Precisions of exported graphs whose ranges of values are calibrated on images."""
MAX_THREADS = 1024
"""Maximum number of threads; with 100,000, OpenMP ends the process."""
MAX_TILES = 16
"""Maximum number of tiles along each side: with the whole image, 257 passes of the network."""
Form: TypeAlias = Literal["raw", "decoded", "nms", "jetson", "ssd", "frigate"]
FORMS_OF: dict[tuple[str, Precision], tuple[Form, ...]] = {
    ("litert", "int8full"): ("raw",),
    ("openvino", "fp16"): ("raw", "decoded", "nms", "jetson"),  # In frigate, scores change by .005.
}
"""Forms that a backend can write in a precision, if these are not all of its forms."""

FORMS: dict[str, str] = {
    "raw": "logits and box offsets from the heads, not decoded",
    "decoded": "boxes and scores of every prior, for Detector",
    "nms": "detections, suppression included",
    "jetson": "boxes and scores with jetson-inference's names and order",
    "ssd": "boxes, classes, scores and count of TFLite's SSD operator, for MediaPipe and Coral",
    "frigate": "rows of seven numbers from BGR pixels, for Frigate's OpenVINO detector",
}
"""Outputs of an exported graph in each form."""
RESULTS = {
    "json": "detections.json",
    "coco": "coco_results.json",
    "csv": "detections.csv",
    "parquet": "detections.parquet",
}
"""File name of the detections in each format."""
FOLDERS = ("crops", "yolo", "labelme")
"""Folders in which detection can save results image by image, besides the pictures."""
_INSTALLED, _CLONED = (folder / "configs" for folder in Path(__file__).parents[:2])
CONFIGS: Path = _INSTALLED if _INSTALLED.is_dir() else _CLONED
"""Folder of the package's configurations; its ``splits/`` holds their lists of images."""
SHIPPED_WEIGHTS = ("coco", "voc")
"""The detectors in the package, for COCO's 80 classes and VOC's 20 classes."""
SOURCES = {
    "tensorflow": "vision.convert.tensorflow:TENSORFLOW",
    "torchvision": "vision.convert.torchvision:TORCHVISION",
    "qfgaohao": "vision.convert.qfgaohao:QFGAOHAO",
    "mmdetection": "vision.convert.mmdetection:MMDETECTION",
    "lufficc": "vision.convert.lufficc:LUFFICC",
}
"""Projects whose checkpoints can be converted, and the layout of each."""
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
"""Formats of a data source, and the module that contains ``read_FORMAT``."""
WRITTEN_FORMATS = ("voc", "coco", "yolo", "webdataset")
"""Formats whose module also contains ``write_FORMAT``."""
CocoEngine: TypeAlias = Literal["faster", "pycocotools"]
"""Implementation of COCO's metrics: this package's vectorised code, or the reference."""
DOWNLOADS = ("voc2007", "voc2012", "coco2017")
"""Public data sets that ``ssdlite download`` fetches."""


def device_name(name: str) -> str:
    """Return PyTorch's name of a device; ``gpu`` means CUDA, and a number means a CUDA device."""
    return f"cuda:{name}" if name.isdecimal() else "cuda" if name.lower() == "gpu" else name


def import_choice(place: str) -> Any:  # noqa: ANN401
    """Import the object that an entry ``module:name`` of one of these tables names."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
