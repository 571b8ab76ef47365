"""The parts that a training run works with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from vision.config import Config
from vision.data import (
    DetectionDataset,
    EpochSampler,
    Sample,
    build_augment,
    cached,
    make_loader,
    reduced,
)
from vision.engine.distributed import Processes
from vision.engine.optim import average, build_optimizer, build_schedule, freeze, has_bf16
from vision.errors import ConfigError
from vision.formats import Annotations, Record
from vision.model import MultiBoxLoss, SSDLite, build_loss, build_model

__all__ = ["Run", "build_run", "parallel"]


@dataclass(frozen=True, slots=True)
class Run:
    """A run, on its device.

    Attributes:
        config: Its configuration.
        names: Class names in label order.
        device: Where it computes.
        processes: That share it.
        model: The network that learns.
        ema: Its moving average, if there is one.
        frozen: Layers and norms that stay in evaluation mode.
        losses: By the (height, width) of images, each on the priors that belong to it.
        optimizer: Over all parameters of the network.
        schedule: Of its learning rates.
        scaler: Of the loss, for fp16.
        sampler: Of the training batches.
        train_loader: This process's share of them.
        val_loader: This process's share of the validation data, if there are any.
    """

    config: Config
    names: list[str]
    device: torch.device
    processes: Processes
    model: SSDLite
    ema: AveragedModel | None
    frozen: list[nn.Module]
    losses: dict[tuple[int, int], MultiBoxLoss]
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR
    scaler: torch.amp.GradScaler
    sampler: EpochSampler
    train_loader: DataLoader[Sample]
    val_loader: DataLoader[Sample] | None

    @property
    def number_format(self) -> torch.dtype:
        """What the network computes in."""
        precision = self.config.train.precision
        if precision == "fp16":
            return torch.float16
        is_bf16 = precision == "bf16" or (precision == "auto" and has_bf16(self.device))
        return torch.bfloat16 if is_bf16 else torch.float32

    @property
    def eval_model(self) -> SSDLite:
        """The network that is evaluated and saved: the average where there is one."""
        if self.ema is None:
            return self.model
        assert isinstance(self.ema.module, SSDLite)
        return self.ema.module

    def train_mode(self) -> None:
        """Let all but the frozen layers learn."""
        self.model.train()
        for module in self.frozen:
            module.eval()


def build_run(
    config: Config,
    names: list[str],
    annotations: Annotations,
    val: Annotations | None,
    device: torch.device,
    processes: Processes = Processes(),  # noqa: B008
    untaught: Sequence[int] = (),
) -> Run:
    """The parts of a run.

    ``untaught`` are labels of classes without a box in the training data.

    Raises:
        ConfigError: If there are too few images, or the batch cannot be shared out.
    """
    torch.manual_seed(config.train.seed)
    settings, size = config.train, config.model.image_size
    augment = build_augment(config.augment.preset, on_device=config.augment.on_device)
    records = _records(config, annotations, processes)
    dataset = DetectionDataset(records, names, config.image_size_of, augment, settings.seed)
    sampler = _sampler(config, dataset, processes)
    loader = make_loader(dataset, sampler, settings.workers, pin_memory=device.type == "cuda")
    model = build_model(config.model, len(names))
    try:
        frozen = freeze(model, settings.freeze)
        if settings.freeze_norms:
            frozen += [norm for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)]
    except ValueError as error:
        raise ConfigError(str(error)) from error
    is_synced = settings.sync_bn and not settings.freeze_norms
    if processes.size > 1 and is_synced and device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    model = model.to(device).to(memory_format=torch.channels_last)
    optimizer = build_optimizer(config.optim, model)
    sizes = {config.image_size_of(epoch) for epoch in (0, settings.epochs - 1)}
    val_loader = None
    if val is not None:
        val_loader = make_loader(
            DetectionDataset(val.records, names, size),
            settings.batch_size // processes.size,
            settings.workers,
            rank=processes.rank,
            world_size=processes.size,
        )
    return Run(
        config,
        names,
        device,
        processes,
        model,
        average(model, settings.ema_decay) if settings.ema_decay else None,
        frozen,
        {one: build_loss(config.loss, model, one, untaught) for one in sizes},
        optimizer,
        build_schedule(config.optim, optimizer, settings.epochs, len(sampler)),
        torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16"),
        sampler,
        loader,
        val_loader,
    )


def _records(config: Config, annotations: Annotations, processes: Processes) -> list[Record]:
    """Training records that are read with as little work as may be."""
    records = [reduced(record, config.model.image_size) for record in annotations.records]
    if config.data.cache is None:
        return records
    folder = Path(config.data.cache)
    if processes.local_rank == 0:
        records = cached(records, folder)
    processes.wait()
    return records if processes.local_rank == 0 else cached(records, folder)


def _sampler(config: Config, dataset: DetectionDataset, processes: Processes) -> EpochSampler:
    settings = config.train
    shares = settings.accumulate * processes.size
    if settings.batch_size % processes.size or settings.batch_size < 2 * shares:
        raise ConfigError(
            f"train.batch_size is {settings.batch_size}: it must be a multiple of the"
            f" {processes.size} processes, with two images at least for each of {shares} parts"
        )
    if len(dataset) < 2 * shares:
        count = "one image" if len(dataset) == 1 else f"{len(dataset)} images"
        raise ConfigError(
            f"data.train has {count}; training with BatchNorm takes {2 * shares} at least"
        )
    return EpochSampler(
        len(dataset),
        settings.batch_size,
        settings.seed,
        rank=processes.rank,
        world_size=processes.size,
        num_parts=shares,
    )


def parallel(run: Run) -> nn.Module:
    """The network as training calls it: shared out among processes, compiled if so configured.

    It takes the weights as they are; those of all processes become the first one's.
    """
    network: nn.Module = run.model
    if run.processes.size > 1:
        device_ids = [run.device] if run.device.type == "cuda" else None
        network = DistributedDataParallel(network, device_ids=device_ids)
    if run.config.train.compile:
        network = torch.compile(network)  # type: ignore[assignment]
    return network
