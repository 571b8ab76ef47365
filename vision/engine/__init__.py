"""Training and evaluation."""

from vision.engine.distributed import is_first_process
from vision.engine.evaluate import evaluate, evaluate_detector
from vision.engine.run_folder import RunFolder, write_json
from vision.engine.train import train

__all__ = [
    "RunFolder",
    "evaluate",
    "evaluate_detector",
    "is_first_process",
    "train",
    "write_json",
]
