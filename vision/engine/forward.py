"""Forward pass and loss as training calls them: as they are, or compiled; steps as CUDA graphs."""

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
"""Gives the divisor of the loss's sums for what the priors of some images learn."""
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
"""Steps of a run from which ``auto`` compiles: with fewer, compiling takes longer than it saves."""


def predict(network: nn.Module, images: Tensor, dtype: torch.dtype) -> Predictions:
    """The predictions for some images, in ``dtype`` autocast, unless it is float32."""
    with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
        predictions: Predictions = network(images)
    return predictions


def take_losses(
    criterion: MultiBoxLoss,
    predictions: Predictions,
    assignment: Assignment,
    normaliser: Tensor | None,
) -> Losses:
    """The losses of some predictions."""
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
    """The losses of some images; ``predict`` and ``take_losses`` may be compiled ones.

    Assignment, whose shapes vary with the number of objects, happens between the two, and so does
    ``normalise``, for which processes may exchange sums; without it the images are a whole batch.
    """
    predictions = predict(network, images, dtype)
    if not isinstance(targets, Assignment):
        targets = criterion.assign(targets, predictions)
    normaliser = None if normalise is None else normalise(targets)
    return take_losses(criterion, predictions, targets, normaliser)


def choose_forward(choice: Compile, device: torch.device, num_images: int, steps: int) -> Forward:
    """`forward`, compiled or not.

    Args:
        choice: ``train.compile``.
        device: The device of the network.
        num_images: Images that go through the network at once.
        steps: Steps of the run.
    """
    is_worth_it = device.type == "cuda" and steps >= MIN_STEPS and _can_compile()
    if choice == "off" or (choice == "auto" and not is_worth_it):
        return forward
    return CompiledForward(num_images, is_required=choice == "on")


def choose_graphs(
    choice: Compile, device: torch.device, dtype: torch.dtype, assignment: AssignBy, parts: int
) -> StepGraphs | None:
    """Graphs of whole steps where these can be captured; None elsewhere and with ``off``.

    Several processes exchange gradients within a step, which is not captured. With ``tal`` priors
    are assigned within the step too, and the sizes of tensors vary with the number of objects. In
    float16, in several parts, and on GPUs of AMD no captured steps have been compared with others.

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
    """Whether there is what `torch.compile` needs for a GPU: Triton and a C compiler."""
    compilers = (os.environ.get("CC", "cc"), "gcc", "clang")
    return has_triton() and any(map(shutil.which, compilers))


class CompiledForward:
    """`forward` and its backward as two compiled regions of static shapes: network and loss.

    A batch of another size, as the last one of an epoch may be, is not worth compiling for and
    goes through `forward` as it is.

    Args:
        num_images: Images of a batch, or of a part of it, to compile for.
        is_required: Whether it is an error if compiling fails; otherwise it is logged, and training
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
        """As `forward`.

        Raises:
            TrainingError: If compiling fails and is required.
        """
        given = (network, criterion, images, targets, normalise, dtype)
        if self._compiled is None or len(images) != self.num_images:
            return forward(*given)
        size = tuple(images.shape[2:])
        if size in self._sizes:
            return self._compiled(*given)
        self._sizes.add(size)
        logger.info(
            "compiling the training step for %d x %d pixels: this takes one to three minutes, less"
            " where it was compiled before; train.compile=off does without",
            *size,
        )
        start = time.perf_counter()
        try:
            losses = self._compiled(*given)
        except Exception as error:  # several compilers take part
            reason = f"{type(error).__name__}: {first_line(error)}"
            if self.is_required:
                raise TrainingError(
                    f"the training step cannot be compiled ({reason}); set train.compile=off"
                ) from error
            logger.warning("training without torch.compile, which failed (%s)", reason)
            self._compiled = None
            return forward(*given)
        logger.info("compiled in %.0f s", time.perf_counter() - start)
        return losses
