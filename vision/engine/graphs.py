"""Training steps as CUDA graphs, which launch all kernels of a step at once."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.optim import Optimizer

from vision.errors import TrainingError, first_line
from vision.model import Assignment, Losses
from vision.structures import Batch

logger = logging.getLogger(__name__)

Rate: TypeAlias = float | Tensor | None
Update: TypeAlias = Callable[[Batch, Assignment, Rate], Losses]
Replay: TypeAlias = Callable[[], None]
WARM_UPS = 3
"""Number of steps before the capture. They select kernels, compile, and allocate the memory that
all later steps use."""


class _Captured(NamedTuple):
    """A captured step, with the tensors that it reads its inputs from and writes the losses to."""

    images: Tensor
    assignment: Assignment
    replay: Replay
    losses: Losses


def capture(function: Callable[[], Losses]) -> tuple[Replay, Losses]:
    """Record the kernels that a function launches on the GPU, without running them.

    Returns:
        A function that runs them, and the tensors that hold the result after each run.
    """
    graph = torch.cuda.CUDAGraph()
    # "thread_local", because calls of the thread that pins batches would break a "global" capture.
    # After a failed capture only the outer context restores the current stream.
    with (
        torch.cuda.stream(torch.cuda.current_stream()),
        torch.cuda.graph(graph, capture_error_mode="thread_local"),
    ):
        losses = function()
    return graph.replay, losses


class StepGraphs:
    """Takes training steps with a CUDA graph, after a few steps without one.

    Only full batches have a graph; smaller ones, often the last of an epoch, are taken without it.
    After a change of the image size the graph is captured again, and the old one's memory is freed.

    Learning rates change from step to step. All steps read them from the device's memory, so that
    they are rounded in the same way with and without a graph. The weight of the new values in the
    moving average changes too: captured steps read it from the device's memory, other steps get it
    as a number.

    Args:
        record: `capture`, or its replacement on a CPU.
        is_required: Whether a step that cannot be captured is an error. Otherwise it and all later
            steps are taken without a graph, and a warning gives the reason.
    """

    def __init__(
        self,
        record: Callable[[Callable[[], Losses]], tuple[Replay, Losses]] = capture,
        *,
        is_required: bool = True,
    ) -> None:
        self._record = record
        self.is_required, self._is_off = is_required, False
        self._size = torch.Size([0])
        self._calls = 0
        self._captured: _Captured | None = None

    def __call__(
        self,
        update: Update,
        optimizer: Optimizer,
        batch: Batch,
        assignment: Assignment,
        rate: float | None,
    ) -> Losses:
        """Take a step with ``update`` or its graph.

        Args:
            update: Runs forward and backward passes, and updates the weights and their average.
            optimizer: The optimiser that ``update`` uses.
            batch: The images, on the device.
            assignment: The targets of the priors.
            rate: The weight of the new values in the moving average; None without an average.

        Raises:
            TrainingError: If the step cannot be captured and ``is_required`` is set.
        """
        if self._is_off:
            return update(batch, assignment, rate)
        images = batch.images
        with torch.cuda.device(images.device) if images.is_cuda else nullcontext():
            is_full = self._is_full(images, len(optimizer.param_groups))
            numbers = [*(group["lr"] for group in optimizer.param_groups), rate or 0.0]
            self._numbers.copy_(torch.tensor(numbers), non_blocking=True)
            if is_full and self._captured is None and self._calls > WARM_UPS:
                self._capture(update, optimizer, batch, assignment, rate)
            if not is_full or self._captured is None:
                with self._lrs_on_device(optimizer):
                    return self._beside(lambda: update(batch, assignment, rate))
            inputs = (self._captured.images, *self._captured.assignment)
            for ours, theirs in zip(inputs, (images, *assignment), strict=True):
                ours.copy_(theirs)
            self._captured.replay()
            return Losses(*(value.clone() for value in self._captured.losses))

    def _is_full(self, images: Tensor, num_groups: int) -> bool:
        """Count a batch; return whether it is as large as the largest of this image size so far."""
        size = images.shape
        if size[1:] != self._size[1:] or size[0] > self._size[0]:
            self._size, self._calls, self._captured = size, 0, None
            self._numbers = torch.zeros(num_groups + 1, device=images.device)
        is_full = size == self._size
        self._calls += is_full
        return is_full

    def _capture(
        self,
        update: Update,
        optimizer: Optimizer,
        batch: Batch,
        assignment: Assignment,
        rate: float | None,
    ) -> None:
        images, targets = batch.images.clone(), Assignment(*(part.clone() for part in assignment))
        inputs = replace(batch, images=images, targets=[], packed=None)
        weight = None if rate is None else self._numbers[-1]

        def step() -> Losses:
            with self._lrs_on_device(optimizer):
                return update(inputs, targets, weight)

        try:
            self._captured = _Captured(images, targets, *self._record(step))
        except RuntimeError as error:
            reason = first_line(error)
            if self.is_required:
                raise TrainingError(
                    f"the training step cannot be captured as a CUDA graph ({reason}); set"
                    " train.compile=off"
                ) from error
            logger.warning(
                "warning: training without CUDA graphs: a step cannot be captured (%s)", reason
            )
            self._is_off = True

    @contextmanager
    def _lrs_on_device(self, optimizer: Optimizer) -> Iterator[None]:
        """Let the optimiser read its learning rates from the device's memory within the context."""
        groups = optimizer.param_groups
        saved = [dict(group) for group in groups]
        for group, lr in zip(groups, self._numbers, strict=False):
            group.update(lr=lr, **{"capturable": True} if "capturable" in group else {})
        try:
            yield
        finally:
            for group, values in zip(groups, saved, strict=True):
                group.update(values)

    def _beside(self, function: Callable[[], Losses]) -> Losses:
        """Call a function on a side stream of the GPU, which warm-up before a capture requires.

        It is always the same stream, since each stream keeps the memory that it has freed.
        """
        if not self._numbers.is_cuda:
            return function()
        stream, current = self._side_stream, torch.cuda.current_stream()
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            losses = function()
        current.wait_stream(stream)
        return losses

    @cached_property
    def _side_stream(self) -> torch.cuda.Stream:
        return torch.cuda.Stream()  # type: ignore[no-untyped-call]
