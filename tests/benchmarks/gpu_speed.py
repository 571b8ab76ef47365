"""Sections of `tests.benchmarks.gpu` that time."""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks import training
from tests.benchmarks.gpu_checks import distance, gradients_of
from tests.benchmarks.gpu_runs import Machine, Row, device_work, first_batch, timed, wait
from tests.benchmarks.loader import write_photos
from vision.data import PRESETS, DetectionDataset, EpochSampler, make_loader
from vision.engine.forward import CompiledForward
from vision.engine.graphs import StepGraphs
from vision.engine.run import Run
from vision.engine.step import train_step
from vision.formats import read_coco
from vision.structures import Batch


def _rows(machine: Machine, label: str, step: Callable[[], object], size: int) -> Iterator[Row]:
    yield label, timed(step, machine.num_timed, size)
    yield "", device_work(step)


def plain_steps(machine: Machine, sizes: tuple[int, ...]) -> Iterator[Row]:
    """Steps as they are, at several batch sizes, with and without average, and the bare network."""
    for size in sizes:
        run = machine.run(size, precision="bf16")
        batch = first_batch(run)
        on_device = batch.to(machine.device)
        yield from _rows(machine, f"batch {size}, bf16", lambda: train_step(run, batch), size)  # noqa: B023
        yield from _rows(machine, "  bare network", lambda: bare_step(run, on_device), size)  # noqa: B023
        averaged = machine.run(size, precision="bf16", ema_decay=0.999)
        averaged.train_mode()
        step = lambda: train_step(averaged, batch)  # noqa: B023, E731
        yield from _rows(machine, "  train.ema_decay=0.999", step, size)
    for precision in ("fp32", "fp16"):
        run = machine.run(sizes[0], precision=precision)
        batch = first_batch(run)
        step = lambda: train_step(run, batch)  # noqa: B023, E731
        yield f"batch {sizes[0]}, {precision}", timed(step, machine.num_timed, sizes[0])


def bare_step(run: Run, batch: Batch, network: Callable[..., Any] | None = None) -> None:
    """What no training can do without: no copies, matching, loss, clipping or schedule."""
    dtype = run.settings.autocast_dtype
    with torch.autocast(run.device.type, dtype, enabled=dtype != torch.float32):
        logits, offsets = (network or run.state.model)(batch.images)
    run.state.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(logits.float().sum() + offsets.float().sum())
    run.state.optimizer.step()


def graphed_steps(machine: Machine, size: int) -> Iterator[Row]:
    """Steps launched as CUDA graphs, not compiled, with the average."""
    if machine.is_small:
        yield "CUDA graphs", "not on a CPU"
        return
    run, batch = _graphed(machine, size)
    yield from _rows(machine, f"batch {size}, bf16, average", lambda: train_step(run, batch), size)


def compiled_steps(machine: Machine, size: int) -> Iterator[Row]:
    """Steps whose forward, loss and backward are compiled, launched as CUDA graphs."""
    torch.compiler.reset()
    plain, batch = _graphed(machine, size)
    run = replace(plain, forward=CompiledForward(size, is_required=True))
    start = time.perf_counter()
    train_step(run, batch)
    wait()
    yield "first step, with compiling", f"{time.perf_counter() - start:8.1f} s"
    yield from _rows(machine, f"batch {size}, bf16, average", lambda: train_step(run, batch), size)
    exact = replace(plain, settings=replace(run.settings, autocast_dtype=torch.float32))
    (loss, ours), (other, theirs), (_, reference) = (
        gradients_of(one, batch) for one in (run, plain, exact)
    )
    yield "loss of one batch, compiled and not", f"{loss:.5f} and {other:.5f}"
    distances = [f"{distance(found, reference):.1e}" for found in (ours, theirs)]
    yield "differences of their gradients from fp32's", " and ".join(distances)


def _graphed(machine: Machine, size: int) -> tuple[Run, Batch]:
    run = machine.run(size, precision="bf16", ema_decay=0.999)
    batch = first_batch(run)
    return replace(run, graphs=None if machine.is_small else StepGraphs()), batch


def compiled_bare(machine: Machine, size: int) -> Iterator[Row]:
    """The bare network compiled, beside the compiled step that an earlier section timed."""
    torch.compiler.reset()
    run = machine.run(size, precision="bf16")
    batch = first_batch(run).to(machine.device)
    network = torch.compile(run.state.model, dynamic=False)
    yield from _rows(machine, f"batch {size}, bf16", lambda: bare_step(run, batch, network), size)


def profile(machine: Machine, size: int) -> Iterator[Row]:
    """Where the time of a step goes: its parts, and the largest kernels."""
    run = machine.run(size, precision="bf16")
    batch = first_batch(run)
    for name, seconds in training._shares(run, batch, 5).items():
        yield f"waited for: {name}", f"{1000 * seconds:8.2f} ms"
    train_step(run, batch)
    wait()
    with torch.profiler.profile() as found:
        train_step(run, batch)
        wait()
    kind = "self_cpu_time_total" if machine.is_small else "self_device_time_total"
    top = sorted(found.key_averages(), key=lambda row: getattr(row, kind), reverse=True)[:15]
    for row in top:
        yield row.key[:58], f"{getattr(row, kind) / 1000:8.2f} ms, {row.count} calls"


def torchvision_step(machine: Machine, size: int) -> Iterator[Row]:
    """Torchvision's detector, as its reference trains it and tuned."""
    run = machine.run(size)
    batch = first_batch(run)
    side = run.state.model.image_size[0]
    options = argparse.Namespace(device=str(machine.device), image_size=side)
    for tuned in (False, True):
        step = training._torchvision_step(batch, options, tuned=tuned)
        label = "bf16 and channels_last" if tuned else "its defaults"
        yield label, timed(step, min(5, machine.num_timed), size)


def from_files(machine: Machine, size: int) -> Iterator[Row]:
    """Steps from JPEG files of VOC's size through workers, and the workers alone."""
    workers = 1 if machine.is_small else os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        write_photos(Path(name), 8)
        annotations = read_coco(name, "train")
        run = machine.run(size, precision="bf16")
        side = run.state.model.image_size
        records = annotations.records * max(1, size * (2 if machine.is_small else 24) // 8)
        dataset = DetectionDataset(records, annotations.names, side, PRESETS["ssdlite"])
        sampler = EpochSampler(len(dataset), size, seed=0)
        loader = make_loader(dataset, sampler, workers, pin_memory=not machine.is_small)
        run = replace(run, train_loader=loader)
        run.train_mode()
        for label, act in (
            ("loader alone", lambda batch: batch),
            ("with steps", lambda batch: train_step(run, batch)),
        ):
            rate = _rate(loader, act)
            yield f"{label}, {workers} workers", f"{rate:8.0f} images/s"


def _rate(loader: Any, act: Callable[[Batch], object]) -> float:  # noqa: ANN401
    """Images a second after the first batch, with which workers start."""
    batches = iter(loader)
    act(next(batches))
    wait()
    start, count = time.perf_counter(), 0
    for batch in batches:
        act(batch)
        count += len(batch.images)
    wait()
    return count / (time.perf_counter() - start)
