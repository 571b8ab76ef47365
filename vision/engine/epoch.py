"""One epoch of training, step by step, and its row of the log."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from vision.engine.evaluation import describe_values
from vision.engine.forecast import describe_duration
from vision.engine.run import Run, RunState
from vision.engine.step import check_finite, check_weights, train_step
from vision.engine.tensorboard import TensorBoardWriter
from vision.model import Losses
from vision.progress import progress

logger = logging.getLogger(__name__)


def train_epoch(
    run: Run, board: TensorBoardWriter, is_pause_due: Callable[[], bool], pause: Callable[[], None]
) -> None:
    """Take the remaining steps of the current epoch.

    Args:
        run: The run to train; its state is updated before each pause and at the end.
        board: Writes the losses for TensorBoard.
        is_pause_due: Called after each step; tells whether to call ``pause``.
        pause: Saves a checkpoint; it may raise to stop the run.

    Raises:
        TrainingError: If the loss or a weight is not finite.
    """
    state, sizes = run.state, run.sampler.sizes()
    run.sampler.epoch, run.sampler.start = state.epoch, state.step
    run.train_mode()
    if state.step == 0:
        state.lr = state.optimizer.param_groups[-1]["lr"]
    # The sums stay on the device, so that steps do not wait for their values.
    dtype = torch.float32 if run.device.type == "mps" else torch.float64
    sums = torch.tensor(state.sums, dtype=dtype, device=run.device)
    start = time.perf_counter() - state.seconds
    others = {} if run.processes.is_first else {"disable": True}
    with progress(
        None,
        f"epoch {state.epoch + 1}/{run.settings.epochs}",
        sum(sizes),
        initial=sum(sizes[: state.step]),
        unit=" images",
        **others,
    ) as bar:
        for batch in run.train_loader:
            losses = train_step(run, batch)
            size = sizes[state.step]
            sums += torch.stack([*losses, torch.ones_like(losses[0])]) * size
            state.step += 1
            bar.update(size)
            _log_progress(run, board, sums, bar, time.perf_counter() - start)
            if is_pause_due():
                sums = _update_state(run, sums, start)
                pause()
    _update_state(run, sums, start)


def _update_state(run: Run, sums: Tensor, start: float) -> Tensor:
    """Store the sums and the time in the state, if the sums and the weights are finite.

    Returns:
        The mean of the sums over all processes. Each process's losses are normalised such that
        their mean is the loss of the whole batch.

    Raises:
        TrainingError: If a sum or a weight is not finite.
    """
    sums = run.processes.sum(sums) / run.processes.size
    check_weights(run.state.model)
    check_finite(Losses(sums[0], sums[1]))
    run.state.sums = sums.tolist()
    run.state.seconds = time.perf_counter() - start
    return sums


def _log_progress(
    run: Run, board: TensorBoardWriter, sums: Tensor, bar: "tqdm[Any]", seconds: float
) -> None:
    """Show the mean loss so far in the progress bar, or in a line of the log if there is no bar.

    It also shows how long the remaining steps will take at this epoch's pace; ``seconds`` is the
    time of its steps so far.
    """
    state, settings, num_steps = run.state, run.settings, len(run.sampler)
    is_line_due = state.steps % settings.log_every == 0
    is_due = is_line_due or state.step == num_steps
    if not is_due and (bar.disable or run.device.type != "cpu"):
        return
    means = _mean_losses(sums.tolist())
    steps_left = (settings.epochs - state.epoch) * num_steps - state.step
    left = describe_duration(seconds / state.step * steps_left)
    bar.set_postfix(loss=f"{means['loss']:.3f}", run_left=left)
    if not is_due:
        return
    lr = state.optimizer.param_groups[-1]["lr"]
    board.scalars(
        {f"train/{name}": value for name, value in (means | {"lr": lr}).items()}, state.steps
    )
    if bar.disable and is_line_due:
        logger.info(
            "epoch %d/%d, step %d/%d: loss %.3f so far, learning rate %.3g, about %s left",
            state.epoch + 1,
            settings.epochs,
            state.step,
            num_steps,
            means["loss"],
            lr,
            left,
        )


def finish_epoch(state: RunState) -> tuple[dict[str, Any], float]:
    """Count the epoch as finished; return its row of the log and the seconds of its steps."""
    seconds = state.seconds
    row = {
        "epoch": state.epoch + 1,
        "lr": state.lr,
        **_mean_losses(state.sums),
        "images_per_second": state.sums[2] / state.seconds,
    }
    state.epoch, state.step, state.sums, state.seconds = state.epoch + 1, 0, [0.0] * 3, 0.0
    return row, seconds


def _mean_losses(sums: list[float]) -> dict[str, float]:
    """Return the mean loss and its two parts, from sums as in `RunState.sums`."""
    classification, localisation = (total / sums[2] for total in sums[:2])
    return {
        "loss": classification + localisation,
        "classification": classification,
        "localisation": localisation,
    }


def log_epoch(row: Mapping[str, Any], epochs: int, seconds: float) -> None:
    """Log an epoch's losses, speed, metrics if it was evaluated, and the time left.

    Args:
        row: The epoch's row of the log.
        epochs: Number of epochs of the run.
        seconds: Time that the epoch's steps took.
    """
    left = (epochs - row["epoch"]) * seconds
    logger.info(
        "epoch %d/%d: loss %.3f (classification %.3f, localisation %.3f), %.1f images/s%s%s",
        row["epoch"],
        epochs,
        *(row[key] for key in ("loss", "classification", "localisation", "images_per_second")),
        f"; val {describe_values(row)}" if "voc.mAP50" in row else "",
        f"; about {describe_duration(left)} left" if left else "",
    )
