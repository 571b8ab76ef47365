"""Training: from a configuration to a run folder with weights, log, metrics and pictures."""

import logging
import math
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from tqdm import tqdm

from vision.config import Config
from vision.data import (
    PRESETS,
    Annotations,
    DetectionDataset,
    EpochSampler,
    Sample,
    check_known,
    choose_classes,
    describe,
    make_loader,
    read_sources,
)
from vision.engine.coverage import describe_coverage, unreached
from vision.engine.evaluate import evaluate
from vision.engine.memory import keep_freed_memory
from vision.engine.optim import build_optimizer, build_schedule, clip_gradients, has_bf16
from vision.engine.pictures import draw_pictures
from vision.engine.run_folder import RunFolder
from vision.engine.state import load_state, save_state
from vision.errors import ConfigError, TrainingError
from vision.metrics import Metrics
from vision.model import MultiBoxLoss, SSDLite, build_loss, build_model, build_post_process
from vision.model.weights import load_weights, save_weights, start_from
from vision.predict import choose_device
from vision.structures import Batch

__all__ = ["Run", "build_run", "train", "train_step"]

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Progress:
    """How far a run is.

    Attributes:
        epoch: Epochs done.
        best: Value of the best evaluation so far.
        rows: The log.
    """

    epoch: int
    best: float
    rows: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Run:
    """The parts that a training run works with."""

    config: Config
    names: list[str]
    folder: RunFolder
    device: torch.device
    model: SSDLite
    loss: MultiBoxLoss
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR
    sampler: EpochSampler
    train_loader: DataLoader[Sample]
    val_loader: DataLoader[Sample] | None

    @property
    def use_bf16(self) -> bool:
        """Whether the network computes in bf16."""
        precision = self.config.train.precision
        return precision == "bf16" or (precision == "auto" and has_bf16(self.device))


def train(config: Config, out: Path, *, resume: bool = False) -> Metrics | None:
    """Train, evaluate every few epochs and after the last, and keep the best.

    Args:
        config: The run.
        out: The run folder; it must not hold a run yet, unless this one resumes it.
        resume: Go on after the last epoch that the run folder holds, if any.

    Returns:
        The evaluation of the best weights; None without ``data.val``.

    Raises:
        VisionError: One of its children, for what a user can mend.
    """
    folder = RunFolder(out)
    folder.open(resume=resume)
    device = choose_device(config.train.device)
    if device.type == "cpu":
        keep_freed_memory()
    annotations = read_sources(config.data.train, "data.train")
    names = choose_classes(config.data, annotations)
    val = None if config.data.val is None else read_sources(config.data.val, "data.val")
    if val is not None:
        check_known(names, config.data, val, "data.val")
    _report(annotations, val, names)
    run = build_run(config, names, annotations, val, folder, device)
    progress = _resume(run) if resume else _start(run)
    folder.write_config(config)
    logger.info("run folder: %s", out)
    while progress.epoch < config.train.epochs:
        _epoch(run, progress)
    return _finish(run)


def _report(annotations: Annotations, val: Annotations | None, names: Sequence[str]) -> None:
    lines = describe(annotations, names, "train")
    lines += describe(val, names, "val") if val is not None else ["val: none, so last is best"]
    for line in lines:
        logger.info(line)


def build_run(
    config: Config,
    names: list[str],
    annotations: Annotations,
    val: Annotations | None,
    folder: RunFolder,
    device: torch.device,
) -> Run:
    """The parts of a run, on its device."""
    torch.manual_seed(config.train.seed)
    size, workers, batch_size = (
        config.model.image_size,
        config.train.workers,
        config.train.batch_size,
    )
    augment = PRESETS[config.augment.preset]()
    dataset = DetectionDataset(annotations.records, names, size, augment, config.train.seed)
    if len(dataset) < 2:
        raise ConfigError("data.train has one image; training with BatchNorm takes two at least")
    sampler = EpochSampler(len(dataset), config.train.seed)
    loader = make_loader(
        dataset, batch_size, workers, sampler=sampler, pin_memory=device.type == "cuda"
    )
    model = build_model(config.model, len(names)).to(device).to(memory_format=torch.channels_last)
    missed, total = unreached(dataset.targets, model.priors, names, config.loss.match_iou)
    logger.info(describe_coverage(missed, total, config.loss.match_iou))
    optimizer = build_optimizer(config.optim, model)
    schedule = build_schedule(config.optim, optimizer, config.train.epochs, len(loader))
    val_loader = None
    if val is not None:
        val_loader = make_loader(DetectionDataset(val.records, names, size), batch_size, workers)
    loss = build_loss(config.loss, model)
    return Run(
        config, names, folder, device, model, loss, optimizer, schedule, sampler, loader, val_loader
    )


def _epoch(run: Run, progress: Progress) -> None:
    """One epoch, its evaluation if one is due, and everything that must outlive a crash."""
    row = _train_epoch(run, progress.epoch)
    progress.epoch += 1
    metrics = _evaluate_if_due(run, progress.epoch)
    value = None if metrics is None else metrics.to_dict()["voc"]["mAP50"]
    if metrics is not None:
        row |= {"voc_mAP50": value, "coco_AP": metrics.to_dict()["coco"]["AP"]}
    progress.rows.append(row)
    _log_row(row, run.config.train.epochs)
    _save(run, run.folder.last, progress.epoch, metrics)
    if run.val_loader is None or (metrics is not None and _is_better(value, progress.best)):
        progress.best = -math.inf if value is None else value
        _save(run, run.folder.best, progress.epoch, metrics)
        if metrics is not None:
            run.folder.write_metrics({**metrics.to_dict(), "epoch": progress.epoch})
    run.folder.log(progress.rows)
    save_state(run.folder.state, _state(run, progress))


def _is_better(value: float | None, best: float) -> bool:
    """Whether an evaluation beats the best; one without a value beats only others such."""
    return best == -math.inf if value is None else value > best


def _train_epoch(run: Run, epoch: int) -> dict[str, Any]:
    """All batches once; the means that the log keeps."""
    run.sampler.epoch = epoch
    run.model.train()
    sums, images, start = [0.0, 0.0], 0, time.perf_counter()
    title = f"epoch {epoch + 1}/{run.config.train.epochs}"
    lr = run.schedule.get_last_lr()[0]
    with tqdm(run.train_loader, desc=title, leave=False, dynamic_ncols=True) as bar:
        for batch in bar:
            parts = train_step(run, batch)
            count = len(batch.targets)
            sums = [total + part * count for total, part in zip(sums, parts, strict=True)]
            images += count
            bar.set_postfix(loss=f"{sum(sums) / images:.3f}")
    classification, localisation = (total / images for total in sums)
    return {
        "epoch": epoch + 1,
        "lr": lr,
        "loss": classification + localisation,
        "classification": classification,
        "localisation": localisation,
        "images_per_second": images / (time.perf_counter() - start),
    }


def train_step(run: Run, batch: Batch) -> tuple[float, float]:
    """One step of the optimiser; the two parts of the loss.

    Raises:
        TrainingError: If the loss is not finite; the weights are as before the step.
    """
    images = batch.to(run.device).images
    with torch.autocast(run.device.type, torch.bfloat16, enabled=run.use_bf16):
        predictions = run.model(images)
    losses = run.loss(predictions, batch.targets)
    parts = (losses.classification.item(), losses.localisation.item())
    if not all(map(math.isfinite, parts)):
        names = ", ".join(str(target.image_id) for target in batch.targets)
        raise TrainingError(
            f"the loss is not finite (classification {parts[0]}, localisation {parts[1]}); lower"
            f" optim.lr, or look at the images of this batch: {names}"
        )
    run.optimizer.zero_grad(set_to_none=True)
    losses.total.backward()
    clip_gradients(run.model, run.config.optim.clip_ratio)
    run.optimizer.step()
    run.schedule.step()
    return parts


def _evaluate_if_due(run: Run, epoch: int) -> Metrics | None:
    settings = run.config.train
    if run.val_loader is None or (epoch % settings.eval_every and epoch != settings.epochs):
        return None
    post_process = build_post_process(run.config.model, run.model)
    metrics, _ = evaluate(run.model, post_process, run.val_loader, run.names)
    return metrics


def _log_row(row: dict[str, Any], epochs: int) -> None:
    line = (
        f"epoch {row['epoch']}/{epochs}: loss {row['loss']:.3f} (classification"
        f" {row['classification']:.3f}, localisation {row['localisation']:.3f}),"
        f" {row['images_per_second']:.1f} images/s"
    )
    if row.get("voc_mAP50") is not None:
        line += f"; val voc.mAP50 {row['voc_mAP50']:.3f}, coco.AP {row['coco_AP']:.3f}"
    logger.info(line)


def _save(run: Run, path: Path, epoch: int, metrics: Metrics | None) -> None:
    training = {
        "epoch": epoch,
        "metrics": None if metrics is None else metrics.to_dict(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        },
    }
    save_weights(path, run.model, run.config, run.names, training)


def _state(run: Run, progress: Progress) -> dict[str, Any]:
    return {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "schedule": run.schedule.state_dict(),
        "rng": torch.get_rng_state(),
        "names": run.names,
        "model_config": run.config.model.model_dump(mode="json"),
        "epoch": progress.epoch,
        "best": progress.best,
        "rows": progress.rows,
    }


def _start(run: Run) -> Progress:
    """Begin a run, from other weights if the configuration names some."""
    settings = run.config.model
    if settings.init is not None:
        for line in start_from(run.model, settings, run.names, settings.init):
            logger.info(line)
    return Progress(0, -math.inf, [])


def _resume(run: Run) -> Progress:
    """Go on from the run folder's state, or afresh if it has none."""
    if not run.folder.state.is_file():
        logger.info("no state in %s to resume from: starting afresh", run.folder.path)
        return _start(run)
    state = load_state(run.folder.state)
    if state["names"] != run.names or state["model_config"] != run.config.model.model_dump(
        mode="json"
    ):
        raise TrainingError(
            f"{run.folder.state} is of another network or other classes ({state['names']}); resume"
            " with the configuration it was made with, or name another --out"
        )
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.schedule.load_state_dict(state["schedule"])
    torch.set_rng_state(state["rng"])
    logger.info("resuming after epoch %d", state["epoch"])
    return Progress(state["epoch"], state["best"], state["rows"])


def _finish(run: Run) -> Metrics | None:
    """Pictures by the best weights, and what those are worth, as they were written."""
    saved = load_weights(run.folder.best)
    logger.info("best after epoch %d: %s", saved.training["epoch"], run.folder.best)
    if run.val_loader is None:
        return None
    draw_pictures(saved, run.val_loader, run.device, run.folder.pictures)
    post_process = build_post_process(run.config.model, saved.model)
    metrics, _ = evaluate(saved.model.to(run.device), post_process, run.val_loader, run.names)
    return metrics
