"""One step of training."""

import math
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from vision.engine.optim import clip_gradients
from vision.engine.run import Run
from vision.errors import TrainingError
from vision.model import Losses, MultiBoxLoss
from vision.structures import Batch, Target

__all__ = ["check_finite", "check_weights", "train_step"]


def train_step(run: Run, network: nn.Module, batch: Batch) -> Losses:
    """One step of the optimiser.

    Args:
        run: What to train.
        network: Its network as `vision.engine.run.parallel` gives it.
        batch: This process's share of the step's images.

    Returns:
        The two parts of the loss, without gradients, on the device; their mean over all processes
        is the whole batch's.

    Raises:
        TrainingError: If the loss is not finite, on a CPU; the weights are as before the step.
            Elsewhere one would have to wait for the device: see `check_finite`.
    """
    run.optimizer.zero_grad(set_to_none=True)
    height, width = batch.images.shape[2:]
    criterion = run.losses[height, width]
    normaliser = _normaliser(run, criterion, batch.targets)
    parts = _parts(batch, run.config.train.accumulate)
    losses = [
        _pass(run, network, criterion, part, normaliser, is_last=number == len(parts))
        for number, part in enumerate(parts, 1)
    ]
    run.scaler.unscale_(run.optimizer)
    clip_gradients(run.model, run.config.optim.clip_ratio)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.schedule.step()
    if run.ema is not None:
        run.ema.update_parameters(run.model)
    return Losses(*(torch.stack(values).sum() for values in zip(*losses, strict=True)))


def _normaliser(run: Run, criterion: MultiBoxLoss, targets: Sequence[Target]) -> Tensor | None:
    """What the loss's sums are divided by, so that it is the whole batch's however it is shared.

    Gradients of several processes are averaged, so it is their mean of positives.
    """
    if run.processes.size == 1 and run.config.train.accumulate == 1:
        return None
    positives = run.processes.sum(criterion.count_positives(targets).float())
    return positives.clamp(min=1) / run.processes.size


def _parts(batch: Batch, count: int) -> list[Batch]:
    """A batch in parts of sizes that differ by one at most."""
    if count == 1:
        return [batch]
    return [
        Batch(batch.images[start::count], batch.targets[start::count]) for start in range(count)
    ]


def _pass(
    run: Run,
    network: nn.Module,
    criterion: MultiBoxLoss,
    part: Batch,
    normaliser: Tensor | None,
    *,
    is_last: bool,
) -> Losses:
    """Forward and backward; processes exchange gradients after the last part alone."""
    images = part.to(run.device).images
    number_format = run.number_format
    is_shared = run.processes.size > 1
    with network.no_sync() if is_shared and not is_last else nullcontext():  # type: ignore[operator]
        with torch.autocast(run.device.type, number_format, enabled=number_format != torch.float32):
            predictions = network(images)
        losses: Losses = criterion(predictions, part.targets, normaliser)
        if run.device.type == "cpu":
            check_finite(losses, part.targets)
        torch.autograd.backward(run.scaler.scale(losses.total))
    return Losses(*(value.detach() for value in losses))


def check_weights(run: Run) -> None:
    """Make sure that weights are sound before they are saved.

    Raises:
        TrainingError: If one is not finite, as after a gradient that was not.
    """
    largest = torch.stack([value.detach().abs().max() for value in run.model.parameters()])
    if not bool(largest.isfinite().all()):
        raise TrainingError(
            "weights are no longer finite and were not saved; go on from the last state with"
            " --resume and a lower optim.lr"
        )


def check_finite(losses: Losses, targets: Sequence[Target] = ()) -> None:
    """Make sure of sound losses, or of sums of them, which one that is not would have spoilt.

    Raises:
        TrainingError: If one is not finite, naming the batch if ``targets`` are given.
    """
    parts = (losses.classification.item(), losses.localisation.item())
    if all(map(math.isfinite, parts)):
        return
    names = ", ".join(str(target.image_id) for target in targets)
    where = f"the images of this batch: {names}" if names else "the images of the last steps"
    raise TrainingError(
        f"the loss is not finite (classification {parts[0]}, localisation {parts[1]}); lower"
        f" optim.lr, or look at {where}"
    )
