"""Detectors in forked processes, which have their parent's memory, but not its threads."""

import os
from functools import cache

import torch

from vision.errors import ConfigError

IN_MEMORY = (
    "a detector that was exported in memory cannot be pickled: write a file with ssdlite export,"
    " and load that file"
)

SPAWN = 'start processes with multiprocessing.get_context("spawn")'


@cache
def limit_forked_threads() -> None:
    """Limit PyTorch to one thread in processes forked from now on, as its data loaders do.

    Otherwise it would wait forever for threads that only the parent process has.
    """
    if hasattr(os, "register_at_fork"):  # Windows has no fork.
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


class OwnProcess:
    """Remembers the process in which a graph with several threads was opened.

    Args:
        title: The runtime's name.
        threads: Number of threads; with one thread, a forked process can run the graph.
        remedy: The end of the message: what else helps.
        trouble: Why the graph does not run in a forked process, and the first remedy.
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
        """Make sure that a call from the current process can return.

        Raises:
            ConfigError: If the process was forked after the graph was opened.
        """
        if self._number not in {None, os.getpid()}:
            raise ConfigError(f"this detector was loaded before a fork, and {self._reason}")
