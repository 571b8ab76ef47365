"""Training steps as CUDA graphs, which a GPU launches at once."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.optim import Optimizer

from vision.engine.forward import Compile
from vision.errors import TrainingError
from vision.model import Assignment, Losses
from vision.model.loss import AssignBy
from vision.structures import Batch

logger = logging.getLogger(__name__)

Rate: TypeAlias = float | Tensor | None
Update: TypeAlias = Callable[[Batch, Assignment, Rate], Losses]
Replay: TypeAlias = Callable[[], None]
WARM_UPS = 3
"""Steps of each batch size before one is captured. They choose kernels, compile, and allocate
the memory that all later steps use."""


class _Captured(NamedTuple):
    """A captured step: where it reads its inputs, and where it writes the losses."""

    images: Tensor
    assignment: Assignment
    replay: Replay
    losses: Losses


def choose_graphs(
    choice: Compile, device: torch.device, num_processes: int, assignment: AssignBy
) -> "StepGraphs | None":
    """Graphs where steps can be captured, unless ``train.compile`` is ``off``; None elsewhere.

    Several processes exchange gradients within a step, which is not captured. With ``tal`` priors
    are assigned within the step too, and the sizes of tensors vary with the number of objects.
    """
    is_possible = device.type == "cuda" and num_processes == 1 and assignment == "ssd"
    return StepGraphs(is_required=choice == "on") if is_possible and choice != "off" else None


def capture(function: Callable[[], Losses]) -> tuple[Replay, Losses]:
    """Record what a function launches on the GPU, without doing it.

    Returns:
        What does it, and where it leaves the result each time.
    """
    graph = torch.cuda.CUDAGraph()
    # Meanwhile the thread that pins batches makes calls that would end a "global" capture.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        losses = function()
    return graph.replay, losses


class StepGraphs:
    """Takes training steps: the first few of each batch size directly, later ones by a graph.

    Learning rates change from step to step. All steps read them from the device's memory, so that
    they are rounded alike with and without a graph. The weight of the new values in the moving
    average changes too: captured steps read it from the device's memory, those before get a number.

    Args:
        record: `capture`, or what stands for it on a CPU.
        is_required: Whether a step that cannot be captured is an error; otherwise it is taken
            without a graph, as all that follow are, and a warning says why.
    """

    def __init__(
        self,
        record: Callable[[Callable[[], Losses]], tuple[Replay, Losses]] = capture,
        *,
        is_required: bool = True,
    ) -> None:
        self._record = record
        self._is_required, self._is_off = is_required, False
        self._captured: dict[torch.Size, _Captured] = {}
        self._calls = Counter[torch.Size]()

    def __call__(
        self,
        update: Update,
        optimizer: Optimizer,
        batch: Batch,
        assignment: Assignment,
        rate: float | None,
    ) -> Losses:
        """Take a step by ``update`` or its graph.

        Args:
            update: Forward and backward passes, and the changes of weights and average.
            optimizer: The optimiser that ``update`` uses.
            batch: The images, on the device.
            assignment: What the priors learn.
            rate: The weight of the new values in the moving average; None without one.

        Raises:
            TrainingError: If the step cannot be captured, and has to be.
        """
        size = batch.images.shape
        if size not in self._captured:
            if not self._calls:
                count = len(optimizer.param_groups) + 1
                self._numbers = torch.zeros(count, device=batch.images.device)
            self._calls[size] += 1
        numbers = [*(group["lr"] for group in optimizer.param_groups), rate or 0.0]
        self._numbers.copy_(torch.tensor(numbers), non_blocking=True)
        if self._calls[size] > WARM_UPS and size not in self._captured and not self._is_off:
            self._capture(update, optimizer, batch, assignment, rate)
        if size not in self._captured:
            with self._lrs_on_device(optimizer):
                return _beside(lambda: update(batch, assignment, rate))
        images, targets, replay, losses = self._captured[size]
        for ours, theirs in zip((images, *targets), (batch.images, *assignment), strict=True):
            ours.copy_(theirs)
        replay()
        return Losses(*(value.clone() for value in losses))

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
            recorded = self._record(step)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            if self._is_required:
                raise TrainingError(
                    f"the training step cannot be captured as a CUDA graph ({reason}); set"
                    " train.compile=off"
                ) from error
            logger.warning("training without CUDA graphs: a step cannot be captured (%s)", reason)
            self._is_off = True
            return
        self._captured[batch.images.shape] = _Captured(images, targets, *recorded)

    @contextmanager
    def _lrs_on_device(self, optimizer: Optimizer) -> Iterator[None]:
        """Let the optimiser read its learning rates from the device."""
        groups = optimizer.param_groups
        saved = [dict(group) for group in groups]
        for group, lr in zip(groups, self._numbers, strict=False):
            group.update(lr=lr, **{"capturable": True} if "capturable" in group else {})
        try:
            yield
        finally:
            for group, values in zip(groups, saved, strict=True):
                group.update(values)


def _beside(function: Callable[[], Losses]) -> Losses:
    """Call a function on another stream of the GPU, which capturing it later requires."""
    if not torch.cuda.is_available():
        return function()
    stream, current = torch.cuda.Stream(), torch.cuda.current_stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        losses = function()
    current.wait_stream(stream)
    return losses
