"""Build the parts of a run from its plan; they do not need the configuration any more."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vision.config import Config
from vision.data import PRESETS, DetectionDataset, EpochSampler, cached, make_loader, reduced
from vision.engine.distributed import SINGLE_PROCESS, Processes
from vision.engine.evaluation import Evaluator
from vision.engine.forward import choose_forward, choose_graphs
from vision.engine.optim import (
    MovingAverage,
    autocast_dtype,
    build_optimizer,
    build_schedule,
    freeze,
)
from vision.engine.plan import Plan
from vision.engine.run import LoopSettings, Run, RunState
from vision.errors import ConfigError
from vision.formats import Record
from vision.model import SSDLite, build_loss, build_model, build_post_process
from vision.weights import SavedDetector, expect_few, silence_classes, start_from

logger = logging.getLogger(__name__)

INITIAL_SCALE = 1024.0
"""Initial loss scale for fp16. With PyTorch's 65,536, at least the first five steps are skipped:
gradients of a new network's first layers reach 10, and the largest number in fp16 is 65,504."""


def build_run(plan: Plan, device: torch.device, processes: Processes = SINGLE_PROCESS) -> Run:
    """Build the parts of a run, with random weights from its seed.

    Raises:
        ConfigError: If there are too few images, or batches cannot be divided among processes.
    """
    config, epochs = plan.config, plan.config.train.epochs
    torch.manual_seed(config.train.seed)
    train_set = _build_train_set(plan, processes)
    sampler = _build_sampler(config, len(train_set), processes)
    model, frozen = _build_network(plan, device, processes)
    optimizer = build_optimizer(config.optim, model)
    dtype = autocast_dtype(config.train.precision, device)
    state = RunState(
        plan.names,
        {
            **dict(_flatten(config.model_dump(mode="json"))),
            "images": len(train_set),
            "steps of an epoch": len(sampler),
            "autocast dtype": str(dtype),
        },
        model,
        MovingAverage(model, config.train.ema_decay) if config.train.ema_decay else None,
        optimizer,
        build_schedule(config.optim, optimizer, epochs, len(sampler)),
        torch.amp.GradScaler(device.type, INITIAL_SCALE, enabled=dtype == torch.float16),
    )
    losses = {
        size: build_loss(config.loss, model, size, plan.unlabelled_classes)
        for size in {config.model.image_size, config.image_size_of(0)}
    }
    parts = processes.size * config.train.accumulate
    return Run(
        _loop_settings(plan, dtype),
        device,
        processes,
        state,
        processes.wrap(model, device),
        choose_forward(
            config.train.compile, device, config.train.batch_size // parts, epochs * len(sampler)
        ),
        choose_graphs(config.train.compile, device, dtype, config.loss.assignment, parts),
        frozen,
        losses,
        sampler,
        train_set,
        make_loader(train_set, sampler, config.train.workers, pin_memory=device.type == "cuda"),
        _build_evaluator(plan, device, processes),
    )


def _build_train_set(plan: Plan, processes: Processes) -> DetectionDataset:
    config = plan.config
    records: list[Record] = [
        reduced(record, config.model.image_size) for record in plan.annotations.records
    ]
    if config.data.cache is not None:
        # The first process of each machine fills the cache, while the others wait for it.
        if processes.local_rank != 0:
            processes.barrier()
        records = cached(records, Path(config.data.cache))
        if processes.local_rank == 0:
            processes.barrier()
    return DetectionDataset(
        records,
        plan.names,
        config.image_size_of,
        PRESETS.get(config.augment.preset),
        config.train.seed,
    )


def _build_sampler(config: Config, num_images: int, processes: Processes) -> EpochSampler:
    settings = config.train
    parts = settings.accumulate * processes.size
    if settings.batch_size % processes.size or settings.batch_size < 2 * parts:
        raise ConfigError(
            f"train.batch_size is {settings.batch_size}: it must be a multiple of the"
            f" {processes.size} processes, and {2 * parts} or more: two images for each of {parts}"
            " parts (processes x train.accumulate)"
        )
    if num_images < 2 * parts:
        count = "one image" if num_images == 1 else f"{num_images} images"
        raise ConfigError(
            f"data.train has {count}, but training with BatchNorm needs at least {2 * parts}: add"
            " labelled images"
        )
    return EpochSampler(
        num_images,
        settings.batch_size,
        settings.seed,
        rank=processes.rank,
        world_size=processes.size,
        num_parts=parts,
    )


def _build_network(
    plan: Plan, device: torch.device, processes: Processes
) -> tuple[SSDLite, list[nn.Module]]:
    """Build the network on its device; return it with its frozen layers and norms."""
    settings = plan.config.train
    model = build_model(plan.config.model, len(plan.names))
    frozen = freeze(model, settings.freeze)
    if settings.freeze_norms:
        frozen += [norm for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)]
    elif processes.size > 1 and settings.sync_bn and device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    return model.to(device).to(memory_format=torch.channels_last), frozen


def _build_evaluator(plan: Plan, device: torch.device, processes: Processes) -> Evaluator | None:
    if plan.val is None:
        return None
    config = plan.config
    loader = make_loader(
        DetectionDataset(plan.val.records, plan.names, config.model.image_size),
        config.train.batch_size // processes.size,
        config.train.workers,
        rank=processes.rank,
        world_size=processes.size,
    )
    return Evaluator(loader, build_post_process(config.model), plan.names, device, processes)


def _loop_settings(plan: Plan, dtype: torch.dtype) -> LoopSettings:
    config, names = plan.config, {entry.name for entry in fields(LoopSettings)}
    return LoopSettings(
        **{name: value for name, value in config.train if name in names},
        clip_ratio=config.optim.clip_ratio,
        autocast_dtype=dtype,
        evaluates_start=isinstance(plan.saved, SavedDetector),
    )


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value of a nested mapping with its dotted key."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def start_run(run: Run, plan: Plan) -> None:
    """Set the initial weights of a new run, and log where they come from."""
    state = run.state
    if plan.saved is not None:
        init, with_heads = plan.config.model.init, plan.config.model.init_heads
        assert init is not None
        start = start_from(state.model, plan.saved, plan.names, init, with_heads=with_heads)
        state.origin, state.known = start.origin, start.known
        for line in start.lines:
            logger.info(line)
    else:
        expect_few(state.model)
    unknown = [label for label in plan.unlabelled_classes if plan.names[label] not in state.known]
    silence_classes(state.model, unknown)
    if state.ema is not None:
        state.ema.module.load_state_dict(state.model.state_dict())
