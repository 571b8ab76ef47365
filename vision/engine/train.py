"""Training: from a configuration to a run folder with weights, log, metrics and pictures."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from vision.config import Config
from vision.data import DetectionDataset, augment_batch
from vision.device import choose_device
from vision.engine.board import Board
from vision.engine.coverage import describe_coverage, unreached
from vision.engine.distributed import Processes, started_processes
from vision.engine.estimate import describe_duration, seconds_per_step
from vision.engine.finish import finish
from vision.engine.interrupts import Interrupts, caught_interrupts
from vision.engine.memory import keep_freed_memory
from vision.engine.prepare import Plan, prepare
from vision.engine.resume import check_same, restore, snapshot
from vision.engine.run import Run, build_run, parallel
from vision.engine.run_folder import RunFolder
from vision.engine.session import Progress, Session, describe_values, headline, quality
from vision.engine.state import States
from vision.engine.step import check_finite, check_weights, train_step
from vision.metrics import Metrics
from vision.model import Losses
from vision.structures import Batch, Detections
from vision.weights import SavedDetector, silence_classes, start_from

__all__ = ["train"]

logger = logging.getLogger(__name__)

AGREE_EVERY = 10
"""Steps after which several processes ask each other whether to stop."""


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
            logging.getLogger("vision.engine").setLevel(logging.WARNING)
        session = _open(config, RunFolder(out), processes, interrupts, resume=resume)
        try:
            with interrupts.held():
                while not session.is_over:
                    _epoch(session)
        finally:
            session.board.close()
        return finish(session)


def _open(
    config: Config,
    folder: RunFolder,
    processes: Processes,
    interrupts: Interrupts,
    *,
    resume: bool,
) -> Session:
    """A run that is ready for its first step, or for the first after an interruption."""
    if processes.is_first:
        folder.check(resume=resume)
    device = choose_device(processes.device(config.train.device))
    if device.type == "cpu":
        keep_freed_memory()
    plan = prepare(config, folder, device, processes, resume=resume)
    run = build_run(
        plan.config, plan.names, plan.annotations, plan.val, device, processes, plan.untaught
    )
    _report_coverage(run)
    if processes.is_first:
        folder.make()
    progress = _resume(run, folder) if resume else None
    session = _begin(run, folder, interrupts, plan, progress)
    if session.is_over:
        return session
    if processes.is_first:
        folder.write_config(run.config)
        folder.write_environment(device, plan.annotations.count())
    logger.info("run folder: %s", folder.path)
    evaluation_seconds = None
    if progress is None and isinstance(plan.saved, SavedDetector):
        start = time.perf_counter()
        _evaluate_start(session)
        evaluation_seconds = time.perf_counter() - start
    _tell_duration(session, evaluation_seconds)
    return session


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


def _begin(
    run: Run, folder: RunFolder, interrupts: Interrupts, plan: Plan, progress: Progress | None
) -> Session:
    """Begin a run, from other weights if the configuration names some, or go on with it."""
    is_new = progress is None
    if progress is None:
        progress = _fill(run, plan)
    states = States(folder.states, run.config.train.keep_states)
    session = Session(run, parallel(run), folder, states, Board(None, 0), interrupts, progress)
    if run.config.train.tensorboard and run.processes.is_first and not session.is_over:
        session.board = Board(folder.tensorboard, session.steps)
        if is_new:
            targets = _dataset(run.train_loader).targets
            session.board.matches(targets, run.model.priors, run.config.loss.match_iou, 0)
    return session


def _fill(run: Run, plan: Plan) -> Progress:
    """The first weights, and where they come from."""
    progress = Progress()
    if plan.saved is not None:
        assert run.config.model.init is not None
        start = start_from(run.model, plan.saved, run.names, run.config.model.init)
        progress.origin, progress.known = start.origin, start.known
        for line in start.lines:
            logger.info(line)
    silenced = [label for label in plan.untaught if run.names[label] not in progress.known]
    silence_classes(run.model, silenced)
    if run.ema is not None:
        run.ema.module.load_state_dict(run.model.state_dict())
    return progress


def _resume(run: Run, folder: RunFolder) -> Progress | None:
    """What the newest state that is whole knows, in all processes; None if there is none."""
    states = States(folder.states, run.config.train.keep_states)
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


def _evaluate_start(session: Session) -> None:
    """Keep the weights before the first step, and say what they are worth."""
    run, progress, folder = session.run, session.progress, session.folder
    metrics = None
    if run.val_loader is not None:
        session.best = _evaluate(session)
        metrics, _ = session.best
        progress.start = metrics.to_dict()
        row = {"epoch": 0, **headline(metrics)}
        progress.rows.append(row)
        progress.best = _value(metrics, progress)
        logger.info("epoch 0, before the first step: val %s", describe_values(row))
    if run.processes.is_first:
        session.save_weights(folder.start, run.eval_model, metrics, known=progress.known)
        if metrics is not None:
            _write_best(session, metrics)
            _write_log(session)


def _tell_duration(session: Session, evaluation_seconds: float | None) -> None:
    """Say beforehand how long the run will take, by what an evaluation took if there was one."""
    run, progress = session.run, session.progress
    epochs = run.config.train.epochs - progress.epoch
    steps = epochs * len(run.sampler) - progress.step
    each = seconds_per_step(run)  # In all processes: norms may span them.
    evaluations = epochs // run.config.train.eval_every + len(run.config.train.interpolation) + 1
    is_known = evaluation_seconds is not None
    logger.info(
        "%d epochs of %d steps of about %.2g s: %s%s",
        epochs,
        len(run.sampler),
        each,
        describe_duration(steps * each + evaluations * (evaluation_seconds or 0.0)),
        "" if is_known else ", evaluations aside",
    )


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
    evaluation = metrics = None
    if _is_evaluation_due(session):
        _save_state(session)
        evaluation = _evaluate(session)
        metrics, _ = evaluation
    progress.epoch, progress.step = progress.epoch + 1, 0
    progress.sums, progress.seconds = [0.0, 0.0, 0.0], 0.0
    is_best = run.val_loader is None
    if metrics is not None:
        row |= headline(metrics)
        value = _value(metrics, progress)
        is_best = value > progress.best or progress.best == -math.inf
        progress.best = max(progress.best, value)
        progress.unimproved = 0 if is_best else progress.unimproved + 1
        session.best = evaluation if is_best else session.best
    progress.rows.append(row)
    _log_row(row, run.config.train.epochs)
    if run.processes.is_first:
        session.save_weights(session.folder.last, run.eval_model, metrics)
        if is_best:
            _write_best(session, metrics)
        _write_log(session)
    _save_state(session)
    if session.is_over and progress.epoch < run.config.train.epochs:
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
        desc=f"epoch {progress.epoch + 1}/{run.config.train.epochs}",
        leave=False,
        dynamic_ncols=True,
        disable=None if run.processes.is_first else True,
        initial=sum(sizes[: progress.step]),
        total=sum(sizes),
        unit=" images",
    ) as bar:
        for batch in run.train_loader:
            assert isinstance(batch, Batch)
            losses = train_step(run, session.network, _augmented(session, batch))
            size = sizes[progress.step]
            sums += torch.stack([*losses, torch.ones_like(losses[0])]) * size
            progress.step += 1
            bar.update(size)
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
    is_line_due = session.steps % run.config.train.log_every == 0
    is_due = is_line_due or progress.step == len(run.sampler)
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
    if bar.disable and is_line_due:
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


def _evaluate(session: Session) -> tuple[Metrics, list[Detections]]:
    run = session.run
    # Each process has running statistics of its own, where BatchNorm does not span them.
    run.processes.share_statistics(run.eval_model)
    with session.interrupts.let_through():
        metrics, found = session.evaluate(run.eval_model)
    session.board.pictures(_dataset(run.val_loader), found, run.names, session.steps)
    return metrics, found


def _value(metrics: Metrics, progress: Progress) -> float:
    """The quality; one that is undefined beats only others such."""
    value = quality(metrics, progress.start)
    return -math.inf if value is None else value


def _log_row(row: dict[str, Any], epochs: int) -> None:
    line = (
        f"epoch {row['epoch']}/{epochs}: loss {row['loss']:.3f} (classification"
        f" {row['classification']:.3f}, localisation {row['localisation']:.3f}),"
        f" {row['images_per_second']:.1f} images/s"
    )
    if "voc.mAP50" in row:
        line += f"; val {describe_values(row)}"
    logger.info(line)


def _write_best(session: Session, metrics: Metrics | None) -> None:
    """These weights as the best so far, and their metrics."""
    session.save_weights(session.folder.best, session.run.eval_model, metrics)
    if metrics is not None:
        session.write_metrics({**metrics.to_dict(), "epoch": session.progress.epoch})


def _write_log(session: Session) -> None:
    """The log, as a table and on the board."""
    row = session.progress.rows[-1]
    session.folder.log(session.progress.rows)
    values = {f"val/{key}": row.get(key) for key in ("voc.mAP50", "coco.AP")}
    session.board.scalars(values, session.steps)
