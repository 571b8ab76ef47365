"""Runs and measurements that the sections of `tests.benchmarks.gpu` share."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]

from tests.dispatch import CountedOperations
from vision.config import config_from_dict
from vision.data import read_sources
from vision.engine.build import build_run
from vision.engine.plan import Plan
from vision.engine.run import Run
from vision.structures import Batch

Row: TypeAlias = tuple[str, object]


@dataclass
class Machine:
    """Where the sections run, and with what.

    Attributes:
        is_small: On the CPU, with a small network.
        data: Root of data in VOC's layout, if any.
    """

    is_small: bool
    data: str | None = None

    @cached_property
    def device(self) -> torch.device:
        """The device that is measured."""
        return torch.device("cpu" if self.is_small else "cuda")

    @property
    def batch_sizes(self) -> tuple[int, int]:
        """The large and the small batch."""
        return (4, 2) if self.is_small else (128, 32)

    @property
    def num_timed(self) -> int:
        """Steps that are timed."""
        return 1 if self.is_small else 20

    def values(self, size: int, **train: Any) -> dict[str, Any]:  # noqa: ANN401
        """A configuration on synthetic scenes without augmentation."""
        side = 128 if self.is_small else 320
        source = {"format": "synthetic", "num_images": size, "image_size": side}
        settings = {"batch_size": size, "workers": 0, "compile": "off", "device": str(self.device)}
        return {
            "model": {"image_size": side, "width_mult": 0.25 if self.is_small else 1.0},
            "data": {"train": source},
            "train": settings | train,
            "augment": {"preset": "none"},
        }

    def run(self, size: int, optim: Mapping[str, Any] | None = None, **train: Any) -> Run:  # noqa: ANN401
        """A run that writes no file, on this machine's device unless ``device`` is another."""
        values = self.values(size, **train) | {"optim": dict(optim or {})}
        config = config_from_dict(values, [], "benchmark")
        annotations = read_sources(config.data.train, "data.train")
        plan = Plan(config, annotations.names, annotations)
        return build_run(plan, torch.device(config.train.device))


def first_batch(run: Run) -> Batch:
    """The first batch of a run, whose network is in training mode from here on."""
    batch = next(iter(run.train_loader))
    assert isinstance(batch, Batch)
    run.train_mode()
    return batch


def wait() -> None:
    """Wait until a GPU has done all its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(step: Callable[[], object], count: int, size: int) -> str:
    """Time of a step after five that do not count: until it is done, and until it is launched."""
    for _ in range(min(5, count)):
        step()
    wait()
    start = time.perf_counter()
    for _ in range(count):
        step()
    launched = (time.perf_counter() - start) / count
    wait()
    done = (time.perf_counter() - start) / count
    return (
        f"{1000 * done:8.2f} ms {size / done:8.0f} images/s, launched in {1000 * launched:.2f} ms"
    )


def device_work(step: Callable[[], object], steps: int = 3) -> str:
    """Work of the GPU in a step by PyTorch's profiler; on the CPU the operations dispatched."""
    step()
    if not torch.cuda.is_available():
        with CountedOperations() as mode:
            step()
        return f"{mode.counts.total()} operations dispatched outside autograd's threads"
    wait()
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        for _ in range(steps):
            step()
        wait()
    events = [event for event in profile.events() if event.device_type == DeviceType.CUDA]
    events = [event for event in events if not event.name.startswith(("Optimizer.", "Memset"))]
    copies = [event for event in events if event.name.startswith("Memcpy")]
    busy = sum(event.device_time_total for event in events) / steps / 1000
    return (
        f"{busy:8.2f} ms of the GPU, {(len(events) - len(copies)) / steps:.0f} kernels,"
        f" {len(copies) / steps:.0f} copies"
    )
