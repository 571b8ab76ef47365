"""Speed of training: ``python -m tests.benchmarks.training``.

Each round takes three steps of every kind in turn, of which the last counts, so that a machine
that slows down slows all of them; what is compared is the ratio of two kinds within a round, of
which the median is printed.
"""

import argparse
import dataclasses
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import torch
import torchvision
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

from tests.benchmarks.gpu_runs import first_batch
from vision.config import Config, config_from_dict
from vision.data import read_sources
from vision.data.synthetic import SHAPES
from vision.engine.build import build_run
from vision.engine.optim import clip_gradients
from vision.engine.plan import Plan
from vision.engine.run import Run
from vision.engine.step import keep_freed_memory, train_step
from vision.model import match
from vision.structures import Batch, Predictions, pack_targets

Step = Callable[[], object]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-size", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--cpu-time", action="store_true", help="time of the processor, where others use it too"
    )
    options = parser.parse_args()
    print(
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, {platform.machine()}"
        f" with {torch.get_num_threads()} threads, {options.device}; batch of"
        f" {options.batch_size} at {options.image_size} px, {options.rounds} rounds"
    )
    if options.device == "cpu":
        keep_freed_memory()  # for every kind of step, torchvision's too
    run = synthetic_run(options, "auto")
    batch = first_batch(run)
    steps = _steps(options, run, batch)
    if options.cpu_time:
        times = _measure(steps, options.rounds, time.process_time)
    else:
        with _in_a_child(options) as child:
            # Before the eager step, not the full one: the system is busy with the child's memory
            # for a while after its step, for which the next kind pays.
            steps = {"eager in a process of its own memory": child} | steps
            times = _measure(steps, options.rounds, time.perf_counter)
    total = times["full step"]
    print(f"{'step':44} {'median s':>9} {'images/s':>9} {'x full step':>13}")
    for name, seconds in times.items():
        ratios = [other / ours for other, ours in zip(seconds, total, strict=True)]
        median = statistics.median(seconds)
        print(
            f"{name:44} {median:9.3f} {options.batch_size / median:9.1f}"
            f" {statistics.median(ratios):13.2f}"
        )
    _print_fractions(_shares(run, batch, options.rounds))


def synthetic_run(options: argparse.Namespace, precision: str) -> Run:
    """A run on synthetic scenes, which writes no file."""
    size = options.image_size
    source = {"format": "synthetic", "num_images": options.batch_size, "image_size": size}
    values = {
        "model": {"image_size": size},
        "data": {"train": source},
        "train": {
            "batch_size": options.batch_size,
            "workers": 0,
            "precision": precision,
            "device": options.device,
            "ema_decay": 0.999,
        },
        "augment": {"preset": "none"},
    }
    config: Config = config_from_dict(values, [], "benchmark")
    annotations = read_sources(config.data.train, "data.train")
    device = torch.device(options.device)
    return build_run(Plan(config, annotations.names, annotations), device)


def _steps(options: argparse.Namespace, run: Run, batch: Batch) -> dict[str, Step]:
    """A step of each kind, by its name."""
    return {
        "full step, eager NCHW fp32": _eager(options),
        "full step": lambda: train_step(run, batch),
        "bare network's forward, backward, optimiser": lambda: _bare_step(run, batch),
        "torchvision ssdlite320_mobilenet_v3_large": _torchvision_step(batch, options, tuned=False),
        "the same, bf16 and channels_last": _torchvision_step(batch, options, tuned=True),
    }


@contextmanager
def _in_a_child(options: argparse.Namespace) -> Iterator[Step]:
    """The eager step in a process whose freed memory goes back to the system, as is usual."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_serve, args=(theirs, options), daemon=True)
    child.start()

    def step() -> None:
        ours.send(True)
        ours.recv()

    yield step
    ours.send(False)
    child.join()


def _serve(orders: Connection, options: argparse.Namespace) -> None:
    """Take an eager step at each order."""
    step = _eager(options)
    while orders.recv():
        step()
        orders.send(True)


def _eager(options: argparse.Namespace) -> Step:
    """The full step as PyTorch takes it by default: NCHW in float32."""
    run = synthetic_run(options, "fp32")
    batch = first_batch(run)
    run.state.model.to(memory_format=torch.contiguous_format)
    plain = dataclasses.replace(batch, images=batch.images.contiguous())
    return lambda: train_step(run, plain)


def _bare_step(run: Run, batch: Batch) -> None:
    """What no training can do without: no targets, matching, loss or clipping."""
    is_reduced = run.settings.autocast_dtype != torch.float32
    with torch.autocast(run.device.type, run.settings.autocast_dtype, enabled=is_reduced):
        logits, offsets = run.state.model(batch.images.to(run.device))
    run.state.optimizer.zero_grad(set_to_none=True)
    (logits.float().sum() + offsets.float().sum()).backward()
    run.state.optimizer.step()


def _torchvision_step(batch: Batch, options: argparse.Namespace, *, tuned: bool) -> Step:
    """A step of torchvision's detector, as its reference script trains it or tuned as ours is."""
    device = torch.device(options.device)
    model = ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=len(SHAPES) + 1
    ).to(device)
    model.transform.fixed_size = (options.image_size, options.image_size)
    model.train()
    if tuned:
        model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=4e-5)
    images = [image.to(device).float() / 255 for image in batch.images]
    targets = [
        {"boxes": target.boxes.to(device), "labels": target.labels.to(device) + 1}
        for target in batch.targets
    ]

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=tuned):
            losses = model(images, targets)
        optimizer.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        optimizer.step()

    return step


def _measure(
    steps: dict[str, Step], rounds: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Seconds of each kind's third step in each round, after a round that is not counted.

    The first two pay for what the kind before left in caches and in freed memory.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            step()
            step()
            start = clock()
            step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                times[name].append(clock() - start)
    return times


def _shares(run: Run, batch: Batch, rounds: int) -> dict[str, float]:
    """Median seconds of each part of a step, in its order."""
    times: dict[str, list[float]] = {}
    is_reduced = run.settings.autocast_dtype != torch.float32

    def timed(name: str, part: Callable[[], Any]) -> Any:  # noqa: ANN401
        start = time.perf_counter()
        result = part()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.setdefault(name, []).append(time.perf_counter() - start)
        return result

    def forward() -> Predictions:
        with torch.autocast(run.device.type, run.settings.autocast_dtype, enabled=is_reduced):
            predictions: Predictions = run.state.model(batch.images.to(run.device))
        return predictions

    def matched() -> object:
        return match(pack_targets(batch.targets).to(run.device), run.state.model.priors)

    for _ in range(rounds + 1):
        run.state.optimizer.zero_grad(set_to_none=True)
        predictions = timed("forward", forward)
        timed("matching", matched)
        losses = timed(
            "loss (and matching)",
            partial(run.losses[run.state.model.image_size], predictions, batch.targets),
        )
        timed("backward", losses.total.backward)
        timed("clipping", partial(clip_gradients, run.state.model, run.settings.clip_ratio))
        timed("optimiser", run.state.optimizer.step)
    return {name: statistics.median(seconds[1:]) for name, seconds in times.items()}


def _print_fractions(seconds_of: dict[str, float]) -> None:
    seconds_of["loss (and matching)"] -= seconds_of["matching"]
    total = sum(seconds_of.values())
    print("where a step's time goes:")
    for label, seconds in seconds_of.items():
        name = label.removesuffix(" (and matching)")
        print(f"  {name:12} {1000 * seconds:8.1f} ms {seconds / total:6.1%}")


if __name__ == "__main__":
    main()
