"""Exporting a detector as a graph for another runtime, and comparing the graph with PyTorch."""

from vision.export.compare import Agreement
from vision.export.write import (
    DEFAULT_IMAGES,
    NUM_CALIBRATED,
    NUM_COMPARED,
    ExportSpec,
    default_images,
    export_detector,
)

__all__ = [
    "DEFAULT_IMAGES",
    "NUM_CALIBRATED",
    "NUM_COMPARED",
    "Agreement",
    "ExportSpec",
    "default_images",
    "export_detector",
]
