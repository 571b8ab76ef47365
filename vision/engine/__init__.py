"""Training and evaluation."""

from vision.engine.comparison import detect_with_both
from vision.engine.distributed import is_first_process
from vision.engine.evaluation import Results, best_thresholds, evaluate, evaluate_detector
from vision.engine.recipe import least_epochs
from vision.engine.recorder import write_json
from vision.engine.run_folder import RunFolder
from vision.engine.trainer import Trainer, train

__all__ = [
    "Results",
    "RunFolder",
    "Trainer",
    "best_thresholds",
    "detect_with_both",
    "evaluate",
    "evaluate_detector",
    "is_first_process",
    "least_epochs",
    "train",
    "write_json",
]
