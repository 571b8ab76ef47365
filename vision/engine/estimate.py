"""How long a run will take, measured before its first step."""

import copy
import time

import torch

from vision.data import DetectionDataset
from vision.engine.run import Run

__all__ = ["describe_duration", "seconds_per_step"]

MEASURED = 1
"""Batches that are timed, after one that warms up."""
READ = 4
"""Images whose reading is timed, where there are so many."""


def seconds_per_step(run: Run) -> float:
    """Seconds of a training step: forward and backward of a copy of the network, and reading.

    On a CPU the processes that read share its cores with the network, elsewhere they work beside.
    """
    settings = run.config.train
    count = settings.batch_size // run.processes.size
    compute = _compute_seconds(run, max(2, count // settings.accumulate)) * settings.accumulate
    read = _read_seconds(run) * count / max(1, settings.workers)
    if run.device.type == "cpu":
        return compute + read
    return max(compute, read)


def _compute_seconds(run: Run, count: int) -> float:
    """Forward and backward of so many images."""
    network = copy.deepcopy(run.model)
    dtype = run.number_format
    size = run.config.image_size_of(run.config.train.epochs - 1)
    images = torch.zeros(count, 3, *size, dtype=torch.uint8, device=run.device)
    images = images.contiguous(memory_format=torch.channels_last)
    for number in range(MEASURED + 1):
        if number == 1:
            start = _now(run.device)
        with torch.autocast(run.device.type, dtype, enabled=dtype != torch.float32):
            predictions = network(images)
        torch.autograd.backward(sum(part.float().square().mean() for part in predictions))
    return (_now(run.device) - start) / MEASURED


def _read_seconds(run: Run) -> float:
    """Reading and augmenting an image in one process."""
    dataset = run.train_loader.dataset
    assert isinstance(dataset, DetectionDataset)
    count = min(READ, len(dataset))
    start = time.perf_counter()
    for index in range(count):
        dataset[index]
    return (time.perf_counter() - start) / count


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def describe_duration(seconds: float) -> str:
    """About how long, for a person: ``about 3 min 20 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"about {hours} h {minutes:02} min"
    return f"about {minutes} min {rest:02} s" if minutes else f"about {rest} s"
