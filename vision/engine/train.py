"""Training: from a configuration to a run folder with weights, log, metrics and pictures."""

import logging
import math
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from tqdm import tqdm

from vision.config import Config
from vision.data import (
    Annotations,
    DetectionDataset,
    augment_batch,
    check_known,
    choose_classes,
    describe,
    read_sources,
)
from vision.device import choose_device
from vision.engine.board import Board
from vision.engine.coverage import describe_coverage, unreached
from vision.engine.curves import draw_curves
from vision.engine.distributed import started_processes
from vision.engine.evaluate import evaluate
from vision.engine.interrupts import Interrupts, caught_interrupts
from vision.engine.memory import keep_freed_memory
from vision.engine.pictures import draw_pictures
from vision.engine.resume import check_same, restore, snapshot
from vision.engine.run import Run, build_run, parallel
from vision.engine.run_folder import RunFolder
from vision.engine.state import States
from vision.engine.step import check_finite, check_weights, train_step
from vision.errors import ConfigError
from vision.export import TorchSession
from vision.metrics import Metrics
from vision.model import Losses, build_decoding, build_post_process
from vision.model.weights import load_weights, save_weights, start_from
from vision.structures import Batch

__all__ = ["train"]

logger = logging.getLogger(__name__)

AGREE_EVERY = 10
"""Steps after which several processes ask each other whether to stop."""


@dataclass(slots=True)
class Progress:
    """How far a run is.

    Attributes:
        epoch: Epochs done.
        step: Steps of the next one done.
        sums: Of that epoch so far: both parts of the loss times images, and images.
        seconds: That it took so far.
        lr: Learning rate at its beginning.
        best: Value of the best evaluation so far.
        unimproved: Evaluations since.
        rows: The log.
        origin: Of the weights that the run began from, if it did not begin from random ones.
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

    @property
    def steps(self) -> int:
        """Steps done since the run began."""
        return self.run.schedule.last_epoch


def train(config: Config, out: Path, *, resume: bool = False) -> Metrics | None:
    """Train, evaluate every few epochs and after the last, and keep the best.

    Under ``torchrun`` all processes call this alike; the first one writes.

    Args:
        config: The run.
        out: The run folder; it must not hold a run yet, unless this one resumes it.
        resume: Go on after the last step that the run folder knows of, if any.

    Returns:
        The evaluation of the best weights; None without ``data.val``.

    Raises:
        VisionError: One of its children, for what a user can mend.
        Interrupted: After SIGTERM or Ctrl-C, when a state is written.
    """
    with started_processes(config.train.device) as processes, caught_interrupts() as interrupts:
        if not processes.is_first:
            logger.setLevel(logging.WARNING)
        folder = RunFolder(out)
        if processes.is_first:
            folder.open(resume=resume)
        device = choose_device(processes.device(config.train.device))
        if device.type == "cpu":
            keep_freed_memory()
        annotations = read_sources(config.data.train, "data.train")
        names = choose_classes(config.data, annotations)
        val = None if config.data.val is None else read_sources(config.data.val, "data.val")
        if val is None and config.train.patience is not None:
            raise ConfigError(
                "train.patience counts evaluations, and there are none without data.val; name one,"
                " or leave train.patience out"
            )
        if val is not None:
            check_known(names, config.data, val, "data.val")
        _report(annotations, val, names)
        run = build_run(config, names, annotations, val, device, processes)
        _report_coverage(run)
        session = _begin(run, folder, interrupts, resume=resume)
        if not _is_over(session) and processes.is_first:
            folder.write_config(config)
            folder.write_environment(device, annotations.count())
        logger.info("run folder: %s", out)
        try:
            with interrupts.held():
                while not _is_over(session):
                    _epoch(session)
        finally:
            session.board.close()
        return _finish(session)


def _report(annotations: Annotations, val: Annotations | None, names: Sequence[str]) -> None:
    lines = describe(annotations, names, "train")
    lines += describe(val, names, "val") if val is not None else ["val: none, so last is best"]
    for line in lines:
        logger.info(line)


def _report_coverage(run: Run) -> None:
    match_iou = run.config.loss.match_iou
    targets = _dataset(run.train_loader).targets
    for (height, width), criterion in sorted(run.losses.items()):
        missed, total = unreached(targets, criterion.priors, run.names, match_iou)
        line = describe_coverage(missed, total, match_iou)
        logger.info("%s" if len(run.losses) == 1 else f"at {height} x {width} pixels, %s", line)


def _dataset(loader: Any) -> DetectionDataset:  # noqa: ANN401
    assert isinstance(loader.dataset, DetectionDataset)
    return loader.dataset


def _begin(run: Run, folder: RunFolder, interrupts: Interrupts, *, resume: bool) -> Session:
    """Begin a run, from other weights if the configuration names some, or go on with it."""
    states = States(folder.states, run.config.train.keep_states)
    progress = _resume(run, states) if resume else None
    is_new = progress is None
    if progress is None:
        settings, origin = run.config.model, ""
        if settings.init is not None:
            start = start_from(run.model, settings, run.names, settings.init)
            origin = start.origin
            for line in start.lines:
                logger.info(line)
            if run.ema is not None:
                run.ema.module.load_state_dict(run.model.state_dict())
        progress = Progress(origin=origin)
    session = Session(run, parallel(run), folder, states, Board(None, 0), interrupts, progress)
    if run.config.train.tensorboard and run.processes.is_first and not _is_over(session):
        session.board = Board(folder.tensorboard, session.steps)
        if is_new:
            targets = _dataset(run.train_loader).targets
            session.board.matches(targets, run.model.priors, run.config.loss.match_iou, 0)
    return session


def _resume(run: Run, states: States) -> Progress | None:
    """What the newest state that is whole knows, in all processes; None if there is none."""
    state, problems = run.processes.share(states.load() if run.processes.is_first else (None, []))
    for problem in problems:
        logger.warning("%s: going on from the one before it", problem)
    if state is None:
        logger.info("no state in %s to resume from: starting afresh", states.folder.parent)
        return None
    for line in check_same(run, state, states.folder):
        logger.info(line)
    restore(run, state)
    logger.info("resuming after epoch %d and %d steps", state["epoch"], state["step"])
    return Progress(**{entry.name: state[entry.name] for entry in fields(Progress)})


def _is_over(session: Session) -> bool:
    settings, progress = session.run.config.train, session.progress
    has_stopped = settings.patience is not None and progress.unimproved >= settings.patience
    return has_stopped or progress.epoch >= settings.epochs


def _epoch(session: Session) -> None:
    """One epoch or the rest of it, its evaluation if one is due, and what must outlive a crash."""
    run, progress = session.run, session.progress
    _steps(session)
    classification, localisation = (total / progress.sums[2] for total in progress.sums[:2])
    row: dict[str, Any] = {
        "epoch": progress.epoch + 1,
        "lr": progress.lr,
        "loss": classification + localisation,
        "classification": classification,
        "localisation": localisation,
        "images_per_second": progress.sums[2] / progress.seconds,
    }
    metrics = None
    if _is_evaluation_due(session):
        _save_state(session)
        with session.interrupts.let_through():
            metrics = _evaluate(session)
    progress.epoch, progress.step = progress.epoch + 1, 0
    progress.sums, progress.seconds = [0.0, 0.0, 0.0], 0.0
    value = None if metrics is None else metrics.to_dict()["voc"]["mAP50"]
    if metrics is not None:
        row |= {"voc_mAP50": value, "coco_AP": metrics.to_dict()["coco"]["AP"]}
        progress.unimproved += 1
    progress.rows.append(row)
    _log_row(row, run.config.train.epochs)
    is_best = run.val_loader is None or (metrics is not None and _is_better(value, progress.best))
    if is_best:
        progress.best, progress.unimproved = -math.inf if value is None else value, 0
    if run.processes.is_first:
        _write_epoch(session, metrics, is_best=is_best)
    _save_state(session)
    if _is_over(session) and progress.epoch < run.config.train.epochs:
        logger.info("stopping early: %d evaluations without a better one", progress.unimproved)
    run.processes.wait()
    _stop_if_asked(session)


def _steps(session: Session) -> None:
    """The epoch's steps that are not done yet."""
    run, progress = session.run, session.progress
    sizes = run.sampler.sizes()
    run.sampler.epoch, run.sampler.start = progress.epoch, progress.step
    run.train_mode()
    if progress.step == 0:
        progress.lr = run.optimizer.param_groups[-1]["lr"]
    sums = _tensor(progress.sums, run.device)
    start = time.perf_counter() - progress.seconds
    with tqdm(
        run.train_loader,
        desc=f"epoch {progress.epoch + 1}/{run.config.train.epochs}",
        leave=False,
        dynamic_ncols=True,
        disable=None if run.processes.is_first else True,
        initial=progress.step,
        total=len(sizes),
    ) as bar:
        for batch in bar:
            assert isinstance(batch, Batch)
            losses = train_step(run, session.network, _augmented(session, batch))
            size = sizes[progress.step]
            sums += torch.stack([*losses, torch.ones_like(losses[0])]) * size
            progress.step += 1
            _tell(session, sums, bar)
            if _is_pause_due(session):
                sums = _mean(run, sums)
                progress.sums = _checked(run, sums)
                progress.seconds = time.perf_counter() - start
                _save_state(session)
                _stop_if_asked(session)
    progress.sums = _checked(run, _mean(run, sums))
    progress.seconds = time.perf_counter() - start


def _augmented(session: Session, batch: Batch) -> Batch:
    """The batch with what augmentation is left to the device."""
    run, progress = session.run, session.progress
    if not run.config.augment.on_device:
        return batch
    key = (run.config.train.seed, progress.epoch, progress.step, run.processes.rank)
    return augment_batch(batch.to(run.device), run.config.augment.preset, *key)


def _tensor(values: Sequence[float], device: torch.device) -> Tensor:
    number_format = torch.float32 if device.type == "mps" else torch.float64
    return torch.tensor(values, dtype=number_format, device=device)


def _mean(run: Run, sums: Tensor) -> Tensor:
    """Over all processes: each one's losses are normalised so that this is the whole batch's."""
    return run.processes.sum(sums) / run.processes.size


def _checked(run: Run, sums: Tensor) -> list[float]:
    """The sums, when they and the weights are sound: nothing is saved before."""
    check_weights(run)
    check_finite(Losses(sums[0], sums[1]))
    return [float(value) for value in sums.tolist()]


def _tell(session: Session, sums: Tensor, bar: "tqdm[Any]") -> None:
    """How it goes: in the bar, or in a line now and then where there is none."""
    run, progress = session.run, session.progress
    is_due = session.steps % run.config.train.log_every == 0
    if not is_due and (bar.disable or run.device.type != "cpu"):
        return
    classification, localisation, images = sums.tolist()
    mean = (classification + localisation) / images
    bar.set_postfix(loss=f"{mean:.3f}")
    if not is_due:
        return
    lr = run.optimizer.param_groups[-1]["lr"]
    losses = {"train/classification": classification, "train/localisation": localisation}
    values = {name: value / images for name, value in losses.items()}
    session.board.scalars({**values, "train/loss": mean, "train/lr": lr}, session.steps)
    if bar.disable:
        logger.info(
            "epoch %d/%d, step %d/%d: loss %.3f so far, learning rate %.3g",
            progress.epoch + 1,
            run.config.train.epochs,
            progress.step,
            len(run.sampler),
            mean,
            lr,
        )


def _is_pause_due(session: Session) -> bool:
    """Whether to save now: because time is up, or since a signal came in."""
    run, waited = session.run, time.monotonic() - session.saved_at
    is_due = waited > 60 * run.config.train.save_minutes or session.interrupts.number is not None
    if run.processes.size == 1:
        return is_due
    return session.steps % AGREE_EVERY == 0 and run.processes.any(is_due, run.device)


def _stop_if_asked(session: Session) -> None:
    """Leave, in all processes, if one was told to."""
    is_asked = session.interrupts.number is not None
    if session.run.processes.any(is_asked, session.run.device):
        logger.info("state saved after step %d: go on with --resume", session.steps)
        session.interrupts.leave()


def _save_state(session: Session) -> None:
    session.saved_at = time.monotonic()
    if session.run.processes.is_first:
        state = snapshot(session.run) | asdict(session.progress)
        session.states.save(state, session.steps)
        session.board.flush()


def _is_evaluation_due(session: Session) -> bool:
    settings, epoch = session.run.config.train, session.progress.epoch + 1
    if session.run.val_loader is None:
        return False
    return epoch % settings.eval_every == 0 or epoch == settings.epochs


def _evaluate(session: Session) -> Metrics:
    run = session.run
    assert run.val_loader is not None
    # Each process has running statistics of its own, where BatchNorm does not span them.
    run.processes.share_statistics(run.judged)
    network = TorchSession(build_decoding(run.judged), run.device)
    post_process = build_post_process(run.config.model)
    metrics, found = evaluate(
        network, post_process, run.val_loader, run.names, processes=run.processes
    )
    session.board.pictures(_dataset(run.val_loader), found, run.names, session.steps)
    return metrics


def _is_better(value: float | None, best: float) -> bool:
    """Whether an evaluation beats the best; one without a value beats only others such."""
    return best == -math.inf if value is None else value > best


def _log_row(row: dict[str, Any], epochs: int) -> None:
    line = (
        f"epoch {row['epoch']}/{epochs}: loss {row['loss']:.3f} (classification"
        f" {row['classification']:.3f}, localisation {row['localisation']:.3f}),"
        f" {row['images_per_second']:.1f} images/s"
    )
    if row.get("voc_mAP50") is not None:
        line += f"; val voc.mAP50 {row['voc_mAP50']:.3f}, coco.AP {row['coco_AP']:.3f}"
    logger.info(line)


def _write_epoch(session: Session, metrics: Metrics | None, *, is_best: bool) -> None:
    """Weights, metrics, log and curves after an epoch."""
    folder, progress = session.folder, session.progress
    row = progress.rows[-1]
    _save_weights(session, folder.last, metrics)
    if is_best:
        _save_weights(session, folder.best, metrics)
        if metrics is not None:
            folder.write_metrics({**metrics.to_dict(), "epoch": progress.epoch})
    folder.log(progress.rows)
    values = {"val/voc.mAP50": row.get("voc_mAP50"), "val/coco.AP": row.get("coco_AP")}
    session.board.scalars(values, session.steps)


def _save_weights(session: Session, path: Path, metrics: Metrics | None) -> None:
    run = session.run
    training = {
        "start": session.progress.origin,
        "epoch": session.progress.epoch,
        "metrics": None if metrics is None else metrics.to_dict(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        },
    }
    save_weights(path, run.judged, run.config, run.names, training)


def _finish(session: Session) -> Metrics | None:
    """Curves, pictures by the best weights, and what those are worth, as they were written."""
    run, folder = session.run, session.folder
    saved = run.processes.share(load_weights(folder.best) if run.processes.is_first else None)
    assert saved is not None
    logger.info("best after epoch %d: %s", saved.training["epoch"], folder.best)
    if run.processes.is_first:
        draw_curves(session.progress.rows, folder.curves)
    if run.val_loader is None:
        return None
    if run.processes.is_first:
        draw_pictures(saved, run.val_loader, run.device, folder.pictures)
    network = TorchSession(build_decoding(saved.model), run.device)
    post_process = build_post_process(run.config.model)
    metrics, _ = evaluate(network, post_process, run.val_loader, run.names, processes=run.processes)
    return metrics
