"""Distributed training: the processes that ``torchrun`` starts, or a single process."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vision.errors import ConfigError, TrainingError

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a run, as this process sees them.

    Attributes:
        rank: Index of this process, from 0.
        local_rank: Index of this process among those on the same machine, from 0.
        size: Number of processes.
    """

    rank: int = 0
    local_rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and messages."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """Return the name of this process's device; each of several processes has its own GPU."""
        return f"cuda:{self.local_rank}" if self.size > 1 and _is_gpu(name) else name

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.size == 1:
            return value
        total = value.clone()
        dist.all_reduce(total)
        return total

    def any(self, flag: bool, device: torch.device) -> bool:  # noqa: FBT001
        """Return whether the flag is set in any process."""
        return bool(self.sum(torch.tensor(int(flag), device=device))) if self.size > 1 else flag

    def broadcast(self, value: Item) -> Item:
        """Return the first process's value, in all processes."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def gather(self, items: Sequence[Item], total: int) -> list[Item]:
        """Return all items in order; each process holds the items ``rank::size``."""
        if self.size == 1:
            return list(items)
        parts: list[Any] = [None] * self.size
        dist.all_gather_object(parts, list(items))
        return [parts[index % self.size][index // self.size] for index in range(total)]

    def broadcast_buffers(self, network: nn.Module) -> None:
        """Copy the first process's buffers, such as running statistics, to all processes."""
        if self.size > 1:
            for value in network.buffers():
                dist.broadcast(value, 0)

    def wrap(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Return the network for training, with gradients averaged over processes.

        Weights that are loaded later must be the same in all processes.
        """
        if self.size == 1:
            return network
        return DistributedDataParallel(network, [device] if device.type == "cuda" else None)

    def barrier(self) -> None:
        """Wait until all processes have reached this call."""
        if self.size > 1:
            dist.barrier()


SINGLE_PROCESS = Processes()
"""The only process of a run."""


def is_first_process() -> bool:
    """Return whether this process writes messages, according to the environment."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def started_processes(device: str) -> Iterator[Processes]:
    """Connect the processes that ``torchrun`` started, according to environment variables.

    Args:
        device: ``train.device``; NCCL is used for GPUs, Gloo otherwise.

    Raises:
        ConfigError: If a variable is missing, or this machine has too few GPUs.
        TrainingError: If another process has ended before its work was done.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield SINGLE_PROCESS
        return
    try:
        processes = Processes(int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0")), size)
    except KeyError as error:
        raise ConfigError(f"WORLD_SIZE is {size} but {error} is not set; use torchrun") from error
    on_gpu = _is_gpu(device)
    if on_gpu:
        if processes.local_rank >= torch.cuda.device_count():
            raise ConfigError(
                f"process {processes.local_rank} of this machine has no GPU of its own: there are"
                f" {torch.cuda.device_count()}; lower torchrun's --nproc-per-node"
            )
        torch.cuda.set_device(processes.local_rank)
    if not processes.is_first:
        for name in ("vision.data", "vision.engine"):
            logging.getLogger(name).setLevel(logging.WARNING)
    # The others wait while the first one fills the cache or computes metrics.
    with _connection_errors():
        dist.init_process_group("nccl" if on_gpu else "gloo", timeout=timedelta(hours=6))
        try:
            yield processes
        finally:
            dist.destroy_process_group()


@contextmanager
def _connection_errors() -> Iterator[None]:
    """Raise TrainingError instead of PyTorch's errors for a lost connection to another process.

    Gloo's errors are plain RuntimeErrors, which only their text identifies.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error).lower():
            raise
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            f"the connection to another process of the run is lost ({reason:.200}); continue with"
            " --resume, or let torchrun --max-restarts do so automatically"
        ) from error


def _is_gpu(name: str) -> bool:
    return name.startswith("cuda") or (name == "auto" and torch.cuda.is_available())
