"""The processes that ``torchrun`` starts, or a single one."""

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
    """The processes of a run, seen from one of them.

    Attributes:
        rank: Number of this process, from 0.
        local_rank: Its number among those on this machine.
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
        """The name of this process's device: of several processes on GPUs, each has its own."""
        return f"cuda:{self.local_rank}" if self.size > 1 and _is_gpu(name) else name

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size == 1:
            return value
        total = value.clone()
        dist.all_reduce(total)
        return total

    def any(self, flag: bool, device: torch.device) -> bool:  # noqa: FBT001
        """Whether the flag is set in any process."""
        return bool(self.sum(torch.tensor(int(flag), device=device))) if self.size > 1 else flag

    def broadcast(self, value: Item) -> Item:
        """The first process's value, in all of them."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def gather(self, items: Sequence[Item], total: int) -> list[Item]:
        """All items in order, where each process has every ``size``-th from its rank on."""
        if self.size == 1:
            return list(items)
        parts: list[Any] = [None] * self.size
        dist.all_gather_object(parts, list(items))
        return [parts[index % self.size][index // self.size] for index in range(total)]

    def broadcast_buffers(self, network: nn.Module) -> None:
        """Give all processes the first one's buffers, such as running statistics."""
        if self.size > 1:
            for value in network.buffers():
                dist.broadcast(value, 0)

    def wrap(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network as training calls it: with gradients averaged over processes.

        Weights that are loaded later must be the same in all processes.
        """
        if self.size == 1:
            return network
        return DistributedDataParallel(network, [device] if device.type == "cuda" else None)

    def barrier(self) -> None:
        """Wait until all processes have come here."""
        if self.size > 1:
            dist.barrier()


SINGLE_PROCESS = Processes()
"""The only process of a run."""


def is_first_process() -> bool:
    """Whether this process writes messages, as far as the environment tells."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def started_processes(device: str) -> Iterator[Processes]:
    """This process among those that ``torchrun`` started, by its environment variables.

    Args:
        device: ``train.device``; it decides between NCCL and Gloo.

    Raises:
        ConfigError: If the environment is incomplete or names a GPU that is not there.
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
    with _one_line_losses():
        dist.init_process_group("nccl" if on_gpu else "gloo", timeout=timedelta(hours=6))
        try:
            yield processes
        finally:
            dist.destroy_process_group()


@contextmanager
def _one_line_losses() -> Iterator[None]:
    """Raise TrainingError for what PyTorch raises when another process is gone.

    Gloo's errors have no type of their own.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error).lower():
            raise
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            f"the connection to another process of the run is lost ({reason:.200}); continue with"
            " --resume, which torchrun's --max-restarts does by itself"
        ) from error


def _is_gpu(name: str) -> bool:
    return name.startswith("cuda") or (name == "auto" and torch.cuda.is_available())
