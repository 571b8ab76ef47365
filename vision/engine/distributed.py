"""Several processes, as ``torchrun`` starts them; one process is the plain case of all this."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vision.errors import ConfigError

__all__ = ["Processes", "is_first_process", "started_processes"]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a run, seen from one of them.

    Attributes:
        rank: Of this one, from 0.
        local_rank: Among those on this machine.
        size: How many there are.
    """

    rank: int = 0
    local_rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes files and speaks."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """The device of a name for this process: of several on GPUs, each has its own."""
        if self.size > 1 and _is_gpu(name):
            return f"cuda:{self.local_rank}"
        return name

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size == 1:
            return value
        total = value.clone()
        dist.all_reduce(total)
        return total

    def any(self, flag: bool, device: torch.device) -> bool:  # noqa: FBT001
        """Whether the flag is set in any process."""
        if self.size == 1:
            return flag
        return bool(self.sum(torch.tensor(int(flag), device=device)).item())

    def share(self, value: Item) -> Item:
        """The first process's value, in all of them."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]

    def interleave(self, items: Sequence[Item], total: int) -> list[Item]:
        """All items in order, where each process has every ``size``-th from its rank on."""
        if self.size == 1:
            return list(items)
        parts: list[Any] = [None] * self.size
        dist.all_gather_object(parts, list(items))
        return [parts[index % self.size][index // self.size] for index in range(total)]

    def share_statistics(self, network: nn.Module) -> None:
        """Give all processes the first one's running statistics."""
        if self.size > 1:
            for value in network.buffers():
                dist.broadcast(value, 0)

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.size > 1:
            dist.barrier()


def is_first_process() -> bool:
    """Whether this process speaks, as far as the environment tells."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def started_processes(device: str) -> Iterator[Processes]:
    """This process among those that ``torchrun`` started, by its environment variables.

    Args:
        device: ``train.device``; it decides between NCCL and Gloo.

    Raises:
        ConfigError: If the environment is incomplete or names a GPU that is not there.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Processes()
        return
    try:
        found = Processes(int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0")), size)
    except KeyError as error:
        raise ConfigError(f"WORLD_SIZE is {size} but {error} is not set; use torchrun") from error
    on_gpu = _is_gpu(device)
    if on_gpu:
        if found.local_rank >= torch.cuda.device_count():
            raise ConfigError(
                f"process {found.local_rank} of this machine has no GPU of its own: there are"
                f" {torch.cuda.device_count()}; lower torchrun's --nproc-per-node"
            )
        torch.cuda.set_device(found.local_rank)
    # Others wait for the first to decode a cache or to reckon metrics.
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=timedelta(hours=6))
    try:
        yield found
    finally:
        dist.destroy_process_group()


def _is_gpu(name: str) -> bool:
    return name.startswith("cuda") or (name == "auto" and torch.cuda.is_available())
