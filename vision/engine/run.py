"""A training run: its changing state, and the fixed parts that it is made of."""

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
    """Everything that a run needs to continue after any step as if it had not been interrupted.

    The order of the images and their augmentation follow from the seed, the epoch and the step.

    Attributes:
        names: Class names in label order.
        config: The configuration by dotted keys, and other values that a checkpoint is compared
            with.
        model: The network that is trained.
        ema: The exponential moving average of the network, if there is one.
        optimizer: The optimiser of all parameters of the network.
        schedule: The schedule of the learning rates; it counts the steps.
        scaler: The loss scaler for fp16.
        epoch: Number of finished epochs.
        step: Number of finished steps of the current epoch.
        sums: The two parts of the loss, each times the number of images, and the number of images,
            summed over the finished steps of the current epoch.
        seconds: Time that those steps took.
        lr: Learning rate at the beginning of the current epoch.
        best: `vision.engine.evaluation.selection_score` of the best evaluation so far.
        unimproved: Number of evaluations since the best one.
        rows: The log, one row per epoch.
        origin: Source of the weights that the run started from; empty for random weights.
        known: Classes that those weights know.
        start: Metrics of those weights, if they were evaluated.
        val: Fingerprint of the validation data of ``best`` and ``start``; empty without such data,
            None if the checkpoint is from a version that did not store it.
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
        """Number of finished steps since the run began."""
        return self.schedule.last_epoch

    @property
    def eval_model(self) -> SSDLite:
        """The network that is evaluated and saved: the moving average if there is one."""
        return self.model if self.ema is None else self.ema.module

    def compare(self, metrics: Metrics) -> bool:
        """Compare an evaluation with the best so far; return whether it is the new best."""
        value = selection_score(metrics.to_dict(), self.start)
        is_best = value > self.best or self.best == -math.inf
        self.best = max(self.best, value)
        self.unimproved = 0 if is_best else self.unimproved + 1
        return is_best

    def state_dict(self) -> dict[str, Any]:
        """Return the fields as tensors and plain values."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {k: v.state_dict() if hasattr(v, "state_dict") else v for k, v in values.items()}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue from the `state_dict` of a run with the same network and classes.

        If the saved state has no moving average, it starts from the saved weights.
        """
        self.model.load_state_dict(saved["model"])
        if self.ema is not None and saved["ema"] is not None:
            self.ema.load_state_dict(saved["ema"])
        elif self.ema is not None:
            self.ema.module.load_state_dict(saved["model"])
        # From the next step on, the current configuration's hyperparameters apply, not the saved
        # ones; each learning rate is its base rate times the schedule's factor for that step.
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
    """Settings of steps and epochs; those with the name of a ``train`` key are that key's value.

    Attributes:
        clip_ratio: Maximum norm of a filter's gradient, as a fraction of the norm of its weights.
        autocast_dtype: The type that the network computes in.
        evaluates_start: Whether the weights before the first step are evaluated and saved.
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
    """The parts of a run, on its device; none of them reads the configuration.

    Attributes:
        settings: Settings of steps and epochs.
        device: The device that the network runs on.
        processes: The processes that share the run.
        state: The network, its optimiser and the progress: the content of checkpoints.
        network: The network that training calls; its gradients are averaged over processes.
        forward: Forward pass and loss, compiled or not.
        graphs: Runs steps as CUDA graphs; None if steps are not captured.
        frozen: Layers and norms that stay in evaluation mode.
        losses: The loss for each image size (height, width), each with its own priors.
        sampler: The indices of the training batches.
        train_set: The training data of all processes.
        train_loader: This process's part of the training batches.
        evaluator: Evaluates a network on the validation data; None without such data.
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
        """Whether training is complete, or has stopped early."""
        patience = math.inf if self.settings.patience is None else self.settings.patience
        return self.state.unimproved >= patience or self.state.epoch >= self.settings.epochs

    @property
    def is_evaluation_due(self) -> bool:
        """Whether the current epoch ends with an evaluation."""
        epoch, settings = self.state.epoch + 1, self.settings
        is_due = epoch % settings.eval_every == 0 or epoch == settings.epochs
        return is_due and self.evaluator is not None

    def train_mode(self) -> None:
        """Set all layers except the frozen ones to training mode."""
        self.state.model.train()
        for module in self.frozen:
            module.eval()
