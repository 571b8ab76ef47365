"""The devices and cores of this machine."""

import os

import torch

from vision.errors import ConfigError


def num_cores() -> int:
    """Number of cores that this process may use."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def choose_device(name: str | torch.device) -> torch.device:
    """The device with this name; ``auto`` is CUDA if it is available, else the CPU.

    Raises:
        ConfigError: If the device cannot be used.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device {name} cannot be used: {reason}; try cpu") from error
    return device
