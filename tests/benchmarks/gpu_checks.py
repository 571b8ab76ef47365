"""Sections of `tests.benchmarks.gpu` that check."""

import csv
import shutil
import socket
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tests.benchmarks.gpu_runs import Machine, Row, first_batch
from tests.dispatch import CountedOperations
from vision.config import Config, config_from_dict, load_config
from vision.engine import train
from vision.engine.graphs import StepGraphs
from vision.engine.run import Run
from vision.engine.step import train_step
from vision.model import Losses
from vision.structures import Batch


def equality(machine: Machine) -> Iterator[Row]:
    """Loss and gradients of one batch on the CPU in fp32, and here in every precision."""
    size = machine.batch_sizes[1]
    reference = machine.run(size, precision="fp32", device="cpu")
    batch = first_batch(reference)
    loss, gradients = gradients_of(reference, batch)
    yield "fp32 on the CPU: loss", f"{loss:.6f}"
    for precision, tf32 in (("fp32", False), ("fp32", True), ("bf16", True), ("fp16", True)):
        torch.backends.cudnn.allow_tf32 = tf32
        run = machine.run(size, precision=precision)
        run.state.model.load_state_dict(reference.state.model.state_dict())
        here, ours = gradients_of(run, batch)
        label = f"{precision} here{'' if tf32 else ', without TF32'}"
        change = f"loss {here:.6f}, relative difference {abs(here / loss - 1):.1e}"
        yield label, f"{change}; of gradients {distance(ours, gradients):.1e}"


def gradients_of(run: Run, batch: Batch) -> tuple[float, list[Tensor]]:
    """Loss and gradients before the first step, with running statistics left as they are."""
    run.train_mode()
    height, width = batch.images.shape[2:]
    criterion, moved = run.losses[height, width], batch.to(run.device)
    assert moved.packed is not None
    assignment = criterion.assign(moved.packed)
    buffers = [value.clone() for value in run.state.model.buffers()]
    dtype = run.settings.autocast_dtype
    losses = run.forward(run.network, criterion, moved.images, assignment, None, dtype)
    scale = 1024.0 if dtype == torch.float16 else 1.0
    weights = list(run.state.model.parameters())
    found = torch.autograd.grad(losses.total * scale, weights)
    with torch.no_grad():
        for value, kept in zip(run.state.model.buffers(), buffers, strict=True):
            value.copy_(kept)
    return losses.total.item(), [gradient.float().cpu() / scale for gradient in found]


def distance(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """Length of the difference as a fraction of the length."""
    one, other = (
        torch.cat([part.double().flatten() for part in parts]) for parts in (ours, theirs)
    )
    return float((one - other).norm() / other.norm())


def waits(machine: Machine) -> Iterator[Row]:
    """Waits for the device that PyTorch reports in a step; on the CPU the operations dispatched."""
    size = machine.batch_sizes[1]
    for precision in ("bf16", "fp16"):
        for decay in (0.0, 0.999):
            run = machine.run(size, precision=precision, ema_decay=decay)
            batch = first_batch(run)
            for _ in range(2):
                train_step(run, batch)
            label = f"{precision}{', with average' if decay else ''}"
            with warnings.catch_warnings(record=True) as caught, CountedOperations() as mode:
                warnings.simplefilter("always")
                with _reported_waits(machine):
                    train_step(run, batch)
            found = [one for one in caught if "synchronizing" in str(one.message)]
            places = [f"{Path(one.filename).name}:{one.lineno}" for one in found]
            waited = f"{len(places)} waits {sorted(set(places))}"
            yield label, f"{waited}, {mode.counts.total()} operations outside autograd's threads"


@contextmanager
def _reported_waits(machine: Machine) -> Iterator[None]:
    if machine.is_small:
        yield
        return
    torch.cuda.set_sync_debug_mode("warn")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def graphs(machine: Machine) -> Iterator[Row]:
    """Ten steps from the same weights, twice without CUDA graphs and once with them."""
    if machine.is_small:
        yield "CUDA graphs", "not on a CPU"
        return
    for optim, precision in (
        ({"name": "sgd"}, "fp32"),
        ({"name": "adamw", "lr": 1e-3, "layer_decay": 0.85}, "bf16"),
    ):
        label = f"{optim['name']}, {precision}"
        found = []
        for graphed in (False, False, True):
            losses, values = _ten_steps(machine, optim, precision, graphed=graphed)
            found.append(values)
            yield f"{label}: losses{' with graphs' if graphed else ''}", losses
        yield (
            f"{label}: difference of the averages, twice without",
            f"{distance(found[1], found[0]):.1e}",
        )
        yield f"{label}: the same, with graphs and without", f"{distance(found[2], found[0]):.1e}"


def _ten_steps(
    machine: Machine, optim: dict[str, Any], precision: str, *, graphed: bool
) -> tuple[str, list[Tensor]]:
    """Losses, and the average of the weights, after steps with two batches in turn."""
    run = machine.run(machine.batch_sizes[1], optim, precision=precision, ema_decay=0.9)
    batch = first_batch(run)
    others = replace(batch, images=255 - batch.images)
    run = replace(run, graphs=StepGraphs() if graphed else None)
    losses = [train_step(run, one).total.item() for one in (batch, others) * 5]
    values = [value.detach().cpu() for value in run.state.eval_model.parameters()]
    return f"{losses[0]:.5f} to {losses[-1]:.5f}", values


def _training(machine: Machine, out: Path, **settings: Any) -> Config:  # noqa: ANN401
    """A training of four epochs on the given data, or on synthetic scenes."""
    values = machine.values(8 if machine.is_small else 512)
    settings = {"workers": 0 if machine.is_small else 8, "tensorboard": False} | settings
    values["train"] |= {"epochs": 4, "batch_size": 4 if machine.is_small else 32} | settings
    if machine.data is None:
        return config_from_dict(values, [], str(out))
    overrides = [
        *(f"data.{split}.root={machine.data}" for split in ("train", "val")),
        f"train.device={machine.device}",
        "train.epochs=4",
        "train.eval_every=4",
        "train.compile=off",
        *(f"train.{name}={value}" for name, value in settings.items()),
    ]
    return load_config("configs/bccd.yaml", overrides)


def trainings(machine: Machine) -> Iterator[Row]:
    """Four epochs in each precision: the loss of the last one, and its ratio to that of fp32."""
    found: dict[str, float] = {}
    for precision in ("fp32", "bf16", "fp16"):
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as name:
            out = Path(name) / "run"
            metrics = train(_training(machine, out, precision=precision), out)
            with (out / "log.csv").open(encoding="utf-8") as file:
                losses = [float(row["loss"]) for row in csv.DictReader(file)]
        found[precision] = losses[-1]
        rows = ", ".join(f"{loss:.3f}" for loss in losses)
        ratio = losses[-1] / found["fp32"]
        score = "" if metrics is None else f", val mAP50 {metrics.to_dict()['voc']['mAP50']:.3f}"
        seconds = time.perf_counter() - start
        yield precision, f"losses {rows}: {ratio:.4f} of fp32's{score}, {seconds:.0f} s"


def overflows(machine: Machine) -> Iterator[Row]:
    """Steps of fp16 of which the first and a later one overflow: skipped, and the weights sound."""
    run = machine.run(machine.batch_sizes[0], precision="fp16", ema_decay=0.9, accumulate=2)
    batch = first_batch(run)
    planted = replace(run, forward=_Overflowing(run))
    kept = [value.detach().clone() for value in run.state.model.parameters()]
    junk = [torch.full_like(value, float("nan")) for value in kept * 3]
    del junk  # What an optimiser allocates without filling it has NaN in it.
    train_step(planted, batch)
    yield "first step skipped", all(map(torch.equal, kept, run.state.model.parameters()))
    for overflows_again in (False, False, True, False):
        train_step(planted if overflows_again else run, batch)
    values = [*run.state.model.parameters(), *run.state.eval_model.parameters()]
    yield "weights and average finite", all(bool(value.isfinite().all()) for value in values)
    yield "scale after two overflows, from 1024", run.state.scaler.get_scale()


class _Overflowing:
    """A forward pass whose loss is so large that gradients overflow."""

    def __init__(self, run: Run) -> None:
        self.forward = run.forward

    def __call__(self, *given: Any) -> Losses:  # noqa: ANN401
        losses = self.forward(*given)
        return Losses(*(value * 1e30 for value in losses))


def accumulation(machine: Machine) -> Iterator[Row]:
    """Gradients of a batch in one part and in two, with norms in evaluation mode."""
    size = machine.batch_sizes[0]
    found = []
    for parts in (1, 2):
        run = machine.run(size, precision="fp32", accumulate=parts)
        batch = first_batch(run)
        run.state.model.eval()
        losses = train_step(run, batch)
        gradients = [value.grad for value in run.state.model.parameters()]
        found.append((losses.total.item(), [g.cpu() for g in gradients if g is not None]))
    (one, ours), (other, theirs) = found
    yield "loss", f"{one:.6f} and {other:.6f} in two parts"
    yield "relative difference of the clipped gradients", f"{distance(theirs, ours):.1e}"


def moving_average(machine: Machine) -> Iterator[Row]:
    """Twenty updates of the average here and on the CPU from the same weights."""
    found = []
    for device in ("cpu", str(machine.device)):
        run = machine.run(4, ema_decay=0.99, device=device)
        generator = torch.Generator().manual_seed(0)
        assert run.state.ema is not None
        for _ in range(20):
            with torch.no_grad():
                for value in run.state.model.parameters():
                    value.copy_(torch.randn(value.shape, generator=generator))
            run.state.ema.blend(run.state.ema.rate)
            run.state.ema.n_averaged += 1
        found.append([value.detach().cpu() for value in run.state.ema.module.parameters()])
    yield "relative difference", f"{distance(found[1], found[0]):.1e}"


def resume(machine: Machine) -> Iterator[Row]:
    """Two epochs in one go, and the second one resumed from the first one's checkpoint."""
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / part for part in ("unbroken", "again", "resumed")]
        values = {"ema_decay": 0.9, "precision": "bf16", "epochs": 2, "keep_states": 9}
        config = _training(Machine(machine.is_small), folders[0], **values)
        for folder in folders[:2]:
            train(config, folder)
        shutil.copytree(folders[0], folders[2])
        last = _last(folders[2])
        last.unlink()
        train(config, folders[2], resume=True)
        yield "resumed from", f"{_last(folders[0]).name}'s predecessor, to {_last(folders[2]).name}"
        weights = [
            list(torch.load(_last(folder), weights_only=True)["model"].values())
            for folder in folders
        ]
    yield "twice unbroken: relative difference", f"{distance(weights[1], weights[0]):.1e}"
    yield "resumed: relative difference", f"{distance(weights[2], weights[0]):.1e}"


def _last(folder: Path) -> Path:
    return max((folder / "states").glob("*.pt"))


def sync_bn(machine: Machine) -> Iterator[Row]:
    """Loss and gradients with SyncBatchNorm under DDP with one process, and without both."""
    size = machine.batch_sizes[1]
    run = machine.run(size, precision="fp32")
    batch = first_batch(run)
    loss, gradients = gradients_of(run, batch)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    backend = "gloo" if machine.is_small else "nccl"
    dist.init_process_group(backend, init_method=address, rank=0, world_size=1)
    try:
        if not machine.is_small:
            nn.SyncBatchNorm.convert_sync_batchnorm(run.state.model)  # type: ignore[no-untyped-call]
        wrapped = replace(run, network=DistributedDataParallel(run.state.model))
        wrapped.train_mode()
        other, ours = _gradients_by_backward(wrapped, batch)
    finally:
        dist.destroy_process_group()
    yield "loss", f"{loss:.6f} and {other:.6f}"
    yield "relative difference of gradients", f"{distance(ours, gradients):.1e}"


def _gradients_by_backward(run: Run, batch: Batch) -> tuple[float, list[Tensor]]:
    height, width = batch.images.shape[2:]
    criterion, moved = run.losses[height, width], batch.to(run.device)
    assert moved.packed is not None
    assignment = criterion.assign(moved.packed)
    losses = run.forward(run.network, criterion, moved.images, assignment, None, torch.float32)
    torch.autograd.backward(losses.total)
    gradients = [value.grad for value in run.state.model.parameters()]
    return losses.total.item(), [g.float().cpu() for g in gradients if g is not None]
