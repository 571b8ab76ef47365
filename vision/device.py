"""The devices and cores of this machine."""

import os

import torch

from vision.choices import device_name
from vision.errors import ConfigError, did_you_mean, first_line

KINDS = ("cpu", "cuda", "mps", "xpu")
"""Device types that are suggested for a misspelt name."""


def num_cores() -> int:
    """Number of cores that this process may use."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def choose_device(name: str | torch.device) -> torch.device:
    """Return the device with this name; ``auto`` is CUDA if it is available, else the CPU.

    ``gpu`` means ``cuda``, and a number means the CUDA device with that index.

    Raises:
        ConfigError: If the device cannot be used.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(device_name(str(name)))
    except RuntimeError as error:
        raise ConfigError(f"there is no device {name}{did_you_mean(str(name), KINDS)}") from error
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = _missing_gpu(device) or first_line(error)
        raise ConfigError(f"device {name} cannot be used: {reason}; try cpu") from error
    return device


def _missing_gpu(device: torch.device) -> str:
    """Say why there is no such CUDA device; empty if another reason applies."""
    if device.type != "cuda":
        return ""
    if torch.version.cuda is None and torch.version.hip is None:
        return "this build of PyTorch has no CUDA support"
    count = torch.cuda.device_count()
    if not count:
        return "PyTorch finds no GPU with a suitable driver"
    return f"the GPUs are numbered 0 to {count - 1}" if (device.index or 0) >= count else ""
