"""Detectors outside PyTorch: exported graphs, and the sessions that run them."""

from vision.export.graphs import FORMS, Form
from vision.export.load import Engine, Runnable, load_runnable, run_saved
from vision.export.sessions import Backend, Precision, Session, TorchSession
from vision.export.write import NUM_CALIBRATED, NUM_COMPARED, Export, Request, export

__all__ = [
    "FORMS",
    "NUM_CALIBRATED",
    "NUM_COMPARED",
    "Backend",
    "Engine",
    "Export",
    "Form",
    "Precision",
    "Request",
    "Runnable",
    "Session",
    "TorchSession",
    "export",
    "load_runnable",
    "run_saved",
]
