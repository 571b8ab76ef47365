"""Writing a detector as a graph for another runtime, and checking that it answers alike."""

from vision.export.stand_ins import STAND_INS, stand_in_images
from vision.export.write import NUM_CALIBRATED, NUM_COMPARED, ExportSpec, export_detector

__all__ = [
    "NUM_CALIBRATED",
    "NUM_COMPARED",
    "STAND_INS",
    "ExportSpec",
    "export_detector",
    "stand_in_images",
]
