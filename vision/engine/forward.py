"""Forward pass and loss of training, compiled or not; and the choice of CUDA graphs for steps."""

import logging
import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils._triton import has_triton

from vision.engine.graphs import StepGraphs
from vision.errors import TrainingError, first_line
from vision.model import Assignment, Losses, MultiBoxLoss
from vision.model.loss import AssignBy
from vision.structures import PackedTargets, Predictions

logger = logging.getLogger(__name__)

Normalise: TypeAlias = Callable[[Assignment], Tensor]
"""Computes the divisor of the loss's sums from an assignment of priors."""
Forward = Callable[
    [
        nn.Module,
        MultiBoxLoss,
        Tensor,
        PackedTargets | Assignment,
        Normalise | None,
        torch.dtype,
    ],
    Losses,
]
Compile = Literal["off", "on", "auto"]
MIN_STEPS = 2000
"""Minimum number of steps for ``auto`` to compile: in shorter runs compiling takes longer than it
saves."""


def predict(network: nn.Module, images: Tensor, dtype: torch.dtype) -> Predictions:
    """Return the predictions for a batch of images, under autocast to ``dtype`` unless float32."""
    with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
        predictions: Predictions = network(images)
    return predictions


def take_losses(
    criterion: MultiBoxLoss,
    predictions: Predictions,
    assignment: Assignment,
    normaliser: Tensor | None,
) -> Losses:
    """Return the losses of a batch of predictions."""
    losses: Losses = criterion(predictions, assignment, normaliser)
    return losses


def forward(
    network: nn.Module,
    criterion: MultiBoxLoss,
    images: Tensor,
    targets: PackedTargets | Assignment,
    normalise: Normalise | None,
    dtype: torch.dtype,
    *,
    predict: Callable[..., Predictions] = predict,
    take_losses: Callable[..., Losses] = take_losses,
) -> Losses:
    """Return the losses of a batch of images; ``predict`` and ``take_losses`` may be compiled.

    Assignment, whose shapes vary with the number of objects, runs between the two, and so does
    ``normalise``, for which processes may exchange sums. If ``normalise`` is None, the images are
    the whole batch of a step.
    """
    predictions = predict(network, images, dtype)
    if not isinstance(targets, Assignment):
        targets = criterion.assign(targets, predictions)
    normaliser = None if normalise is None else normalise(targets)
    return take_losses(criterion, predictions, targets, normaliser)


def choose_forward(choice: Compile, device: torch.device, num_images: int, steps: int) -> Forward:
    """Return `forward`, compiled or not.

    Args:
        choice: ``train.compile``.
        device: The device of the network.
        num_images: Number of images that go through the network at once.
        steps: Number of steps of the run.
    """
    is_worth_it = device.type == "cuda" and steps >= MIN_STEPS and _can_compile()
    if choice == "off" or (choice == "auto" and not is_worth_it):
        return forward
    return CompiledForward(num_images, is_required=choice == "on")


def choose_graphs(
    choice: Compile, device: torch.device, dtype: torch.dtype, assignment: AssignBy, parts: int
) -> StepGraphs | None:
    """Return graphs for whole steps; None if steps cannot be captured, and with ``off``.

    The gradient exchange between several processes is not captured. With ``tal``, priors are
    assigned within the step, and the sizes of tensors vary with the number of objects. With
    float16, with several parts, and on AMD GPUs, the results of captured steps have not been
    compared with those of other steps.

    Args:
        choice: ``train.compile``.
        device: The device of the network.
        dtype: The type that the network computes in.
        assignment: ``loss.assignment``.
        parts: Number of parts of a batch, in different processes or one after the other.
    """
    is_compared = device.type == "cuda" and torch.version.hip is None and dtype != torch.float16
    if choice == "off" or not is_compared or assignment != "ssd" or parts > 1:
        return None
    return StepGraphs(is_required=choice == "on")


def _can_compile() -> bool:
    """Return whether `torch.compile` has what it needs for a GPU: Triton and a C compiler."""
    compilers = (os.environ.get("CC", "cc"), "gcc", "clang")
    return has_triton() and any(map(shutil.which, compilers))


class CompiledForward:
    """`forward` and its backward as two compiled regions of static shapes: network and loss.

    Batches of another size, such as the last one of an epoch, go through the uncompiled `forward`:
    compiling for them would not pay off.

    Args:
        num_images: Number of images of a batch, or of a part of it, to compile for.
        is_required: Whether a failure to compile is an error; otherwise it is logged, and training
            continues without compiling.
    """

    def __init__(self, num_images: int, *, is_required: bool) -> None:
        self.num_images = num_images
        self.is_required = is_required
        self._compiled: Forward | None = partial(
            forward,
            predict=torch.compile(predict, dynamic=False),
            take_losses=torch.compile(take_losses, dynamic=False),
        )
        self._sizes = set[tuple[int, ...]]()

    def __call__(
        self,
        network: nn.Module,
        criterion: MultiBoxLoss,
        images: Tensor,
        targets: PackedTargets | Assignment,
        normalise: Normalise | None,
        dtype: torch.dtype,
    ) -> Losses:
        """Return the losses of a batch of images, as `forward` does.

        Raises:
            TrainingError: If compiling fails and ``is_required`` is set.
        """
        arguments = (network, criterion, images, targets, normalise, dtype)
        if self._compiled is None or len(images) != self.num_images:
            return forward(*arguments)
        size = tuple(images.shape[2:])
        if size in self._sizes:
            return self._compiled(*arguments)
        self._sizes.add(size)
        logger.info(
            "compiling the training step for %d x %d pixels: this takes one to three minutes, or"
            " less if it was compiled before; train.compile=off skips it",
            *size,
        )
        start = time.perf_counter()
        try:
            losses = self._compiled(*arguments)
        except Exception as error:  # Several compilers are involved, each with its own errors.
            reason = f"{type(error).__name__}: {first_line(error)}"
            if self.is_required:
                raise TrainingError(
                    f"the training step cannot be compiled ({reason}); set train.compile=off"
                ) from error
            logger.warning("warning: torch.compile failed, so training is not compiled: %s", reason)
            self._compiled = None
            return forward(*arguments)
        logger.info("compiled in %.0f s", time.perf_counter() - start)
        return losses
