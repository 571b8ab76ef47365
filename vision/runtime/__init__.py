"""What runs a detector's network: PyTorch, or an exported graph in another runtime."""

from vision.runtime.graphs import FORMS, Form
from vision.runtime.load import Runnable, RuntimeOptions, load_runnable, run_saved
from vision.runtime.sessions import Backend, Precision, Session, TorchSession

__all__ = [
    "FORMS",
    "Backend",
    "Form",
    "Precision",
    "Runnable",
    "RuntimeOptions",
    "Session",
    "TorchSession",
    "load_runnable",
    "run_saved",
]
