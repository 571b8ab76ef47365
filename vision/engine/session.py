"""One run while it goes on: how far it is, and how its weights are evaluated and saved."""

import math
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn

from vision.detector import Detector
from vision.engine.board import Board
from vision.engine.evaluate import evaluate
from vision.engine.interrupts import Interrupts
from vision.engine.run import Run
from vision.engine.run_folder import RunFolder
from vision.engine.state import States
from vision.metrics import Metrics
from vision.model import SSDLite
from vision.runtime import RuntimeOptions
from vision.structures import Detections
from vision.weights import save_weights

__all__ = [
    "HEADLINE",
    "Progress",
    "Session",
    "describe_number",
    "describe_values",
    "headline",
    "quality",
]

HEADLINE = ("voc.mAP50", "coco.AP")
"""The two numbers that a person compares, in the log, in TensorBoard and in messages."""


@dataclass(slots=True)
class Progress:
    """How far a run is.

    Attributes:
        epoch: Epochs done.
        step: Steps of the next one done.
        sums: Of that epoch so far: both parts of the loss times images, and images.
        seconds: That it took so far.
        lr: Learning rate at its beginning.
        best: `quality` of the best evaluation so far.
        unimproved: Evaluations since.
        rows: The log.
        origin: Of the weights that the run began from, if it did not begin from random ones.
        known: Classes that those weights know.
        start: Their metrics, if they were evaluated.
    """

    epoch: int = 0
    step: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    seconds: float = 0.0
    lr: float = 0.0
    best: float = -math.inf
    unimproved: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    origin: str = ""
    known: list[str] = field(default_factory=list)
    start: dict[str, Any] | None = None


@dataclass(slots=True)
class Session:
    """One process's work on a run, from its start or a resumption to its end."""

    run: Run
    network: nn.Module
    folder: RunFolder
    states: States
    board: Board
    interrupts: Interrupts
    progress: Progress
    saved_at: float = field(default_factory=time.monotonic)
    best: tuple[Metrics, list[Detections]] | None = None
    """The evaluation of the best weights, where this process has seen it."""

    @property
    def steps(self) -> int:
        """Steps done since the run began."""
        return self.run.schedule.last_epoch

    @property
    def is_over(self) -> bool:
        """Whether no epoch is left to do."""
        settings, progress = self.run.config.train, self.progress
        has_stopped = settings.patience is not None and progress.unimproved >= settings.patience
        return has_stopped or progress.epoch >= settings.epochs

    def evaluate(self, model: SSDLite) -> tuple[Metrics, list[Detections]]:
        """Metrics of a network on ``data.val``, and its detections of each image."""
        run = self.run
        assert run.val_loader is not None
        options = RuntimeOptions(device=str(run.device))
        detector = Detector.from_model(model, run.config, run.names, options=options)
        return evaluate(detector, run.val_loader, processes=run.processes)

    def save_weights(
        self, path: Path, model: SSDLite, metrics: Metrics | None, **facts: object
    ) -> None:
        """Write weights with how they were trained."""
        run = self.run
        training = {
            "start": self.progress.origin,
            "epoch": self.progress.epoch,
            **facts,
            "metrics": None if metrics is None else metrics.to_dict(),
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "torchvision": torchvision.__version__,
            },
        }
        save_weights(path, model, run.config, run.names, training)

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write the best evaluation's metrics, and the start's beside them."""
        self.folder.write_metrics({**metrics, "start": self.progress.start})


def headline(metrics: Metrics) -> dict[str, float | None]:
    """The two numbers that a person compares, as the log names them."""
    return dict(zip(HEADLINE, (metrics.voc.mean, metrics.coco.AP), strict=True))


def describe_values(values: Mapping[str, Any]) -> str:
    """Both numbers for a person."""
    return ", ".join(f"{key} {describe_number(values[key])}" for key in HEADLINE)


def describe_number(value: float | None) -> str:
    """A precision for a person."""
    return "undefined" if value is None else f"{value:.3f}"


def quality(metrics: Metrics, start: dict[str, Any] | None) -> float | None:
    """What the best weights are chosen by: the mean of voc.mAP50 and coco.AP.

    Weights that are worse than the start's in either count below all others, by 1. None if the
    validation data have no box.
    """
    voc, coco = metrics.voc.mean, metrics.coco.AP
    if voc is None or coco is None:
        return None
    value = (voc + coco) / 2
    if start is not None:
        value -= voc < (start["voc"]["mAP50"] or 0) or coco < (start["coco"]["AP"] or 0)
    return value
