"""A training run: its changing state, and the parts that it works with."""

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from vision.data import DetectionDataset, EpochSampler, Loader
from vision.engine.distributed import Processes
from vision.engine.evaluation import Evaluator, selection_score
from vision.engine.forward import Forward
from vision.engine.graphs import StepGraphs
from vision.engine.optim import MovingAverage
from vision.metrics import Metrics
from vision.model import MultiBoxLoss, SSDLite


@dataclass(slots=True)
class RunState:
    """All that a run needs to continue after any step, as if it had not been interrupted.

    The order of the images and their augmentation follow from the seed, the epoch and the step.

    Attributes:
        names: Class names in label order.
        config: Dotted keys of the configuration, and what else a checkpoint must agree with.
        model: The network that learns.
        ema: Its exponential moving average, if there is one.
        optimizer: The optimiser of all parameters of the network.
        schedule: The schedule of its learning rates; it counts the steps.
        scaler: The scaler of the loss, for fp16.
        epoch: Epochs done.
        step: Steps done of the unfinished epoch.
        sums: Both parts of the loss times images, and images, summed over those steps.
        seconds: Time of those steps.
        lr: Learning rate at the beginning of that epoch.
        best: `vision.engine.evaluation.selection_score` of the best evaluation so far.
        unimproved: Evaluations since the best one.
        rows: The log, a row for each epoch.
        origin: Where the weights come from that the run started from; empty for random ones.
        known: Classes that those weights know.
        start: Their metrics, if they were evaluated.
        val: Tells apart the validation data of ``best`` and ``start``; None if an older version did
            not note it.
    """

    names: list[str]
    config: dict[str, Any]
    model: SSDLite
    ema: MovingAverage | None
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
    val: str | None = ""

    @property
    def steps(self) -> int:
        """Steps done since the run began."""
        return self.schedule.last_epoch

    @property
    def eval_model(self) -> SSDLite:
        """The network that is evaluated and saved: the average where there is one."""
        return self.model if self.ema is None else self.ema.module

    def compare(self, metrics: Metrics) -> bool:
        """Count an evaluation, and return whether it is the best so far."""
        value = selection_score(metrics.to_dict(), self.start)
        is_best = value > self.best or self.best == -math.inf
        self.best = max(self.best, value)
        self.unimproved = 0 if is_best else self.unimproved + 1
        return is_best

    def state_dict(self) -> dict[str, Any]:
        """The fields as tensors and plain values."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {k: v.state_dict() if hasattr(v, "state_dict") else v for k, v in values.items()}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue from the `state_dict` of a run with the same network and classes.

        An average that the saved state lacks starts from its weights.
        """
        self.model.load_state_dict(saved["model"])
        if self.ema is not None and saved["ema"] is not None:
            self.ema.load_state_dict(saved["ema"])
        elif self.ema is not None:
            self.ema.module.load_state_dict(saved["model"])
        # The hyperparameters of the present configuration hold from the next step on, not those
        # saved with the momenta and the number of steps; learning rates are those of that step.
        groups = [dict(group) for group in self.optimizer.param_groups]
        base_lrs = list(self.schedule.base_lrs)
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.schedule.base_lrs = base_lrs
        factor = self.schedule.lr_lambdas[0](self.steps)
        for group, values, lr in zip(self.optimizer.param_groups, groups, base_lrs, strict=True):
            group.update({**values, "lr": lr * factor})
        if saved["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(saved["scaler"])
        for entry in fields(self):
            if entry.kw_only:
                setattr(self, entry.name, saved[entry.name])


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """What steps and epochs depend on; the keys of ``train`` are explained in `vision.config`.

    Attributes:
        clip_ratio: Longest gradient of a filter, as a fraction of the length of its weights.
        autocast_dtype: The type that the network computes in.
        evaluates_start: Whether the weights before the first step are evaluated and kept.
    """

    epochs: int
    seed: int
    accumulate: int
    eval_every: int
    patience: int | None
    interpolation: list[float]
    log_every: int
    save_minutes: float
    clip_ratio: float
    autocast_dtype: torch.dtype
    evaluates_start: bool


@dataclass(frozen=True, slots=True)
class Run:
    """The parts of a run, on its device; none of them sees the configuration.

    Attributes:
        settings: What steps and epochs depend on.
        device: The device that the network runs on.
        processes: The processes that share the run.
        state: The network, its optimiser and the progress: what checkpoints hold.
        network: The network as training calls it: its gradients are averaged over processes.
        forward: Forward pass and loss, compiled or not.
        graphs: Takes steps as CUDA graphs, where it is chosen.
        frozen: Layers and norms that stay in evaluation mode.
        losses: The loss for each (height, width) of images, which has priors of its own.
        sampler: The indices of the training batches.
        train_set: The training data of all processes.
        train_loader: This process's part of the training batches.
        evaluator: Evaluates a network on the validation data, if there are any.
    """

    settings: LoopSettings
    device: torch.device
    processes: Processes
    state: RunState
    network: nn.Module
    forward: Forward
    graphs: StepGraphs | None
    frozen: list[nn.Module]
    losses: dict[tuple[int, int], MultiBoxLoss]
    sampler: EpochSampler
    train_set: DetectionDataset
    train_loader: Loader
    evaluator: Evaluator | None

    @property
    def is_over(self) -> bool:
        """Whether no epoch is left to train."""
        patience = math.inf if self.settings.patience is None else self.settings.patience
        return self.state.unimproved >= patience or self.state.epoch >= self.settings.epochs

    @property
    def is_evaluation_due(self) -> bool:
        """Whether the epoch that is being trained ends with an evaluation."""
        epoch, settings = self.state.epoch + 1, self.settings
        is_due = epoch % settings.eval_every == 0 or epoch == settings.epochs
        return is_due and self.evaluator is not None

    def train_mode(self) -> None:
        """Set all layers to training mode but the frozen ones."""
        self.state.model.train()
        for module in self.frozen:
            module.eval()
