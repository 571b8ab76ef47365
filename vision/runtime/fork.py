"""Detectors in forked processes, which have the memory of their parent but none of its threads."""

import os
from functools import cache

import torch

from vision.errors import ConfigError

IN_MEMORY = (
    "a detector that was exported in memory cannot be pickled: write a file with ssdlite export,"
    " and load that"
)

SPAWN = 'start processes with multiprocessing.get_context("spawn")'


@cache
def limit_forked_threads() -> None:
    """Let PyTorch have one thread in processes forked from now on, as its own loaders do.

    It would wait for its parent's threads for ever.
    """
    if hasattr(os, "register_at_fork"):  # Windows has no fork.
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


class OwnProcess:
    """The process that a graph with several threads was opened in.

    Args:
        title: The runtime's name.
        threads: Number of threads; with one, a forked process can run the graph.
        remedy: What helps besides loading in the forked process.
        trouble: Why it does not run in one, with what helps first.
    """

    def __init__(
        self,
        title: str,
        threads: int | None,
        remedy: str = f"load it with threads=1, or {SPAWN}",
        trouble: str = "waits for threads that are not in this process: load it here, or",
    ) -> None:
        self._reason = f"{title} {trouble} {remedy}"
        self._number = None if threads == 1 else os.getpid()

    def check(self) -> None:
        """Make sure that this is the process.

        Raises:
            ConfigError: If it was forked from that, so that the call would never return.
        """
        if self._number not in {None, os.getpid()}:
            raise ConfigError(f"this detector was loaded before a fork, and {self._reason}")
