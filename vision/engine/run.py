"""The parts that a training run works with; none of them sees the configuration."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.data import DataLoader

from vision.data import DetectionDataset, EpochSampler, Sample
from vision.engine.distributed import Processes
from vision.engine.evaluation import Evaluator
from vision.engine.run_state import RunState
from vision.model import MultiBoxLoss

__all__ = ["LoopSettings", "Run"]


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """What steps and epochs depend on; the keys of ``train`` are explained in `vision.config`.

    Attributes:
        clip_ratio: Longest gradient of a filter, as a fraction of the length of its weights.
        autocast_dtype: The type that the network computes in.
        device_preset: Preset of the augmentation that is left to the device, if any is.
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
    device_preset: str | None
    evaluates_start: bool


@dataclass(frozen=True, slots=True)
class Run:
    """The parts of a run, on its device.

    Attributes:
        settings: What steps and epochs depend on.
        device: The device that the network runs on.
        processes: The processes that share the run.
        state: The network, its optimiser and the progress: what checkpoints hold.
        network: The network as training calls it: for several processes, and compiled or not.
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
    frozen: list[nn.Module]
    losses: dict[tuple[int, int], MultiBoxLoss]
    sampler: EpochSampler
    train_set: DetectionDataset
    train_loader: DataLoader[Sample]
    evaluator: Evaluator | None

    @property
    def is_over(self) -> bool:
        """Whether no epoch is left to train."""
        patience, unimproved = self.settings.patience, self.state.unimproved
        has_stopped = patience is not None and unimproved >= patience
        return has_stopped or self.state.epoch >= self.settings.epochs

    @property
    def is_evaluation_due(self) -> bool:
        """Whether the epoch that is being trained ends with an evaluation."""
        epoch = self.state.epoch + 1
        is_due = epoch % self.settings.eval_every == 0 or epoch == self.settings.epochs
        return is_due and self.evaluator is not None

    def train_mode(self) -> None:
        """Set all layers to training mode but the frozen ones."""
        self.state.model.train()
        for module in self.frozen:
            module.eval()
