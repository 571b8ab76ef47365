"""The state of a run: what changes while it trains, with the random generators."""

import math
import random
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from vision.engine.evaluation import quality
from vision.metrics import Metrics
from vision.model import SSDLite

__all__ = ["RunState"]


@dataclass(slots=True)
class RunState:
    """All that a run needs to continue after any step, as if it had not been interrupted.

    A checkpoint holds these fields and the random generators. The order of the images and their
    augmentation need none: they follow from the seed, the epoch and the step.

    Attributes:
        names: Class names in label order.
        config: Dotted keys of the configuration, and what else decides how the run continues.
        model: The network that learns.
        ema: Its exponential moving average, if there is one.
        optimizer: The optimiser of all parameters of the network.
        schedule: The schedule of its learning rates; it counts the steps.
        scaler: The scaler of the loss, for fp16.
        epoch: Epochs done.
        step: Steps done of the epoch that is not finished.
        sums: Of those steps: both parts of the loss times images, and images.
        seconds: Time that those steps took.
        lr: Learning rate at the beginning of that epoch.
        best: `vision.engine.evaluation.quality` of the best evaluation so far.
        unimproved: Evaluations since the best one.
        rows: The log, a row for each epoch.
        origin: Where the weights come from that the run started from; empty for random ones.
        known: Classes that those weights know.
        start: Metrics of those weights, if they were evaluated.
    """

    names: list[str]
    config: dict[str, Any]
    model: SSDLite
    ema: AveragedModel | None
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR
    scaler: torch.amp.GradScaler
    _: KW_ONLY
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

    @property
    def steps(self) -> int:
        """Steps done since the run began."""
        return self.schedule.last_epoch

    @property
    def eval_model(self) -> SSDLite:
        """The network that is evaluated and saved: the average where there is one."""
        if self.ema is None:
            return self.model
        assert isinstance(self.ema.module, SSDLite)
        return self.ema.module

    def finish_epoch(self) -> dict[str, Any]:
        """Count the epoch as done and give its row of the log."""
        classification, localisation = (total / self.sums[2] for total in self.sums[:2])
        row = {
            "epoch": self.epoch + 1,
            "lr": self.lr,
            "loss": classification + localisation,
            "classification": classification,
            "localisation": localisation,
            "images_per_second": self.sums[2] / self.seconds,
        }
        self.epoch, self.step, self.sums, self.seconds = self.epoch + 1, 0, [0.0] * 3, 0.0
        return row

    def compare(self, metrics: Metrics) -> bool:
        """Count an evaluation, and tell whether it is the best so far."""
        value = quality(metrics, self.start)
        is_best = value > self.best or self.best == -math.inf
        self.best = max(self.best, value)
        self.unimproved = 0 if is_best else self.unimproved + 1
        return is_best

    def state_dict(self) -> dict[str, Any]:
        """The fields as tensors and plain values, and the state of the random generators."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        for name, value in values.items():
            if hasattr(value, "state_dict"):
                values[name] = value.state_dict()
        return {"rng_state": _rng_state(), **values}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` gave of a run with the same network and classes.

        An average that the saved state lacks starts from its weights.
        """
        self.model.load_state_dict(saved["model"])
        if self.ema is not None and saved["ema"] is not None:
            self.ema.load_state_dict(saved["ema"])
        elif self.ema is not None:
            self.ema.module.load_state_dict(saved["model"])
        # The saved groups and schedule bring the hyperparameters of the time when they were saved,
        # but those that the configuration has now hold from the next step on. So they are kept
        # aside while the momenta and the number of steps are loaded, and each learning rate is
        # computed anew for that step.
        groups = [
            {key: value for key, value in group.items() if key not in {"params", "lr"}}
            for group in self.optimizer.param_groups
        ]
        base_lrs = list(self.schedule.base_lrs)
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.schedule.base_lrs = base_lrs
        factor = self.schedule.lr_lambdas[0](self.steps)
        for group, values, lr in zip(self.optimizer.param_groups, groups, base_lrs, strict=True):
            group.update(values, lr=lr * factor)
        if saved["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(saved["scaler"])
        for entry in fields(self):
            if entry.kw_only:
                setattr(self, entry.name, saved[entry.name])
        _load_rng_state(saved["rng_state"])


def _rng_state() -> dict[str, Any]:
    """The state of every random generator, as tensors and plain values."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    version, words, gauss_next = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [name, torch.from_numpy(np.array(keys, np.int64)), position, has_gauss, gauss],
        "python": [version, list(words), gauss_next],
    }


def _load_rng_state(state: dict[str, Any]) -> None:
    """Set every random generator; those of GPUs where there are as many as there were."""
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, words, gauss_next = state["python"]
    random.setstate((version, tuple(words), gauss_next))
