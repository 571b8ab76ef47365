"""One step of training, and the checks that losses and weights are finite."""

import ctypes
import math
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from vision.engine.distributed import Processes
from vision.engine.forward import Normalise
from vision.engine.graphs import Rate
from vision.engine.optim import clip_gradients
from vision.engine.run import Run
from vision.errors import TrainingError
from vision.model import Assignment, Losses
from vision.structures import Batch, PackedTargets, Target

# Constants of glibc's malloc.h, except the last.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for the next step of training on a CPU.

    By default glibc requests the large blocks of each step from the system and returns them at
    once, and the system clears every page again: with a batch of 32 images of 320 pixels, that took
    half of the time. With another C library nothing changes.

    Returns:
        Whether the C library accepted the settings.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, _LARGEST))


def train_step(run: Run, batch: Batch) -> Losses:
    """Take one step of the optimiser.

    Args:
        run: The run that the step belongs to.
        batch: This process's part of the step's images.

    Returns:
        The two parts of the loss, without gradients, on the device; their mean over all processes
        is the loss of the whole batch.

    Raises:
        TrainingError: If the loss is not finite, on a CPU; the step does not change the weights.
            On other devices checking would make each step wait: see `check_finite`.
    """
    state = run.state
    height, width = batch.images.shape[2:]
    batch = batch.to(run.device)
    assert batch.packed is not None
    criterion, targets = run.losses[height, width], batch.packed
    learnt = criterion.assign(targets) if criterion.assignment == "ssd" else targets
    rate = None if state.ema is None else state.ema.rate
    take = partial(_update, run)
    if run.graphs is None:
        losses = take(batch, learnt, rate)
    else:
        assert isinstance(learnt, Assignment)
        losses = run.graphs(take, state.optimizer, batch, learnt, rate)
    state.schedule.step()
    if state.ema is not None:
        state.ema.n_averaged += 1
    return losses


def _update(run: Run, batch: Batch, learnt: Assignment | PackedTargets, rate: Rate) -> Losses:
    """Do the part of a step that a CUDA graph can capture: nothing in it depends on CPU values.

    Args:
        run: The run that the step belongs to.
        batch: The images, on the device.
        learnt: The assignment of the priors; or the objects, if predictions decide the assignment.
        rate: The weight of the new values in the moving average; None without an average.
    """
    state, settings = run.state, run.settings
    state.optimizer.zero_grad(set_to_none=True)
    normalise = _choose_normaliser(run, learnt)
    losses = [
        _forward_backward(run, batch, learnt, normalise, part)
        for part in range(settings.accumulate)
    ]
    state.scaler.unscale_(state.optimizer)
    clip_gradients(state.model, settings.clip_ratio)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    if state.ema is not None:
        assert rate is not None
        state.ema.blend(rate)
    return Losses(*(torch.stack(values).sum() for values in zip(*losses, strict=True)))


def _choose_normaliser(run: Run, learnt: Assignment | PackedTargets) -> Normalise | None:
    """Return what computes the divisor with which parts sum to the batch's loss; None for one part.

    An assignment that is known before the forward pass covers all parts of this process. If
    predictions decide it, it is known during the forward pass, and the process has a single part.
    """
    if run.processes.size == 1 and run.settings.accumulate == 1:
        return None
    if not isinstance(learnt, Assignment):
        return partial(_divide_by, run.processes)
    divisor = _divide_by(run.processes, learnt)
    return lambda _: divisor


def _divide_by(processes: Processes, assignment: Assignment) -> Tensor:
    """Return the sum of qualities over the whole batch, divided by the number of processes.

    Each part of the batch is divided by this sum, not by its own. The number of processes is in it
    because their gradients are averaged, not summed.
    """
    return processes.sum(assignment.quality.sum()).clamp(min=1) / processes.size


def _forward_backward(
    run: Run,
    batch: Batch,
    learnt: Assignment | PackedTargets,
    normalise: Normalise | None,
    part: int,
) -> Losses:
    """Run forward and backward passes for one part of a batch: images ``part::accumulate``.

    The sizes of the parts differ by one at most. Processes exchange gradients after the last part.
    """
    count = run.settings.accumulate
    height, width = batch.images.shape[2:]
    criterion = run.losses[height, width]
    images = batch.images[part::count]
    if isinstance(learnt, Assignment):
        learnt = learnt.part(part, count)
    is_local = run.processes.size > 1 and part < count - 1
    with run.network.no_sync() if is_local else nullcontext():  # type: ignore[operator]
        dtype = run.settings.autocast_dtype
        losses = run.forward(run.network, criterion, images, learnt, normalise, dtype)
        if run.device.type == "cpu":
            check_finite(losses, batch.targets[part::count])
        torch.autograd.backward(run.state.scaler.scale(losses.total))
    return Losses(*(value.detach() for value in losses))


def check_weights(model: nn.Module) -> None:
    """Make sure that all weights are finite before they are saved.

    Raises:
        TrainingError: If a weight is not finite, for instance after a gradient that was not finite.
    """
    maxima = torch.stack([value.detach().abs().max() for value in model.parameters()])
    if not bool(maxima.isfinite().all()):
        raise TrainingError(
            "the weights are no longer finite and were not saved; continue from the last checkpoint"
            " with --resume and a lower optim.lr"
        )


def check_finite(losses: Losses, targets: Sequence[Target] = ()) -> None:
    """Make sure that losses, or sums of losses, are finite.

    Raises:
        TrainingError: If a loss is not finite; it names the images of ``targets``, if given.
    """
    parts = (losses.classification.item(), losses.localisation.item())
    if all(map(math.isfinite, parts)):
        return
    names = ", ".join(str(target.image_id) for target in targets)
    where = f"the images of this batch: {names}" if names else "the images of the last steps"
    raise TrainingError(
        f"the loss is not finite (classification {parts[0]}, localisation {parts[1]}); lower"
        f" optim.lr, or check {where}"
    )
