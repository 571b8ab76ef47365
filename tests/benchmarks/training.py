"""How fast training is: ``python -m tests.benchmarks.training``.

Each round takes a step of every kind in turn, so that a machine that slows down slows all of them;
what counts is the ratio of two kinds within a round, of which the median is printed.
"""

import argparse
import dataclasses
import multiprocessing
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torchvision
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

from vision.config import Config, config_from_dict
from vision.data import PRESETS, DetectionDataset, make_loader, read_coco, read_sources
from vision.data.scenes import SHAPES, draw_scene
from vision.engine import write_json
from vision.engine.memory import keep_freed_memory
from vision.engine.run import Run, build_run, parallel
from vision.engine.step import train_step
from vision.media import write_image
from vision.structures import Batch

Step = Callable[[], object]
PHOTO_SIZE = (375, 500)
"""(height, width) of most of VOC's photographs."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-size", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    print(
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, {platform.machine()}"
        f" with {torch.get_num_threads()} threads, {options.device}; batch of"
        f" {options.batch_size} at {options.image_size} px, {options.rounds} rounds"
    )
    if options.device == "cpu":
        keep_freed_memory()  # for every kind of step, torchvision's too
    run = _run(options, "auto")
    batch = _batch(run)
    steps = _steps(options, run, batch)
    with _in_a_child(options) as child:
        times = _measure(steps | {"the same in a process of its own memory": child}, options.rounds)
    whole = times["whole step"]
    print(f"{'step':44} {'median s':>9} {'images/s':>9} {'x whole step':>13}")
    for name, seconds in times.items():
        ratios = [other / ours for other, ours in zip(seconds, whole, strict=True)]
        median = statistics.median(seconds)
        print(
            f"{name:44} {median:9.3f} {options.batch_size / median:9.1f}"
            f" {statistics.median(ratios):13.2f}"
        )
    for workers in (0, 2):
        rate = _loader_rate(options.image_size, options.batch_size, workers)
        print(f"loader, {PHOTO_SIZE} JPEGs, preset ssdlite, {workers} workers: {rate:.0f} images/s")


def _run(options: argparse.Namespace, precision: str) -> Run:
    """A run on drawn scenes; nothing of it is written."""
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
        },
        "augment": {"preset": "none"},
    }
    config: Config = config_from_dict(values, [], "benchmark")
    annotations = read_sources(config.data.train, "data.train")
    device = torch.device(options.device)
    return build_run(config, annotations.names, annotations, None, device)


def _batch(run: Run) -> Batch:
    batch = next(iter(run.train_loader))
    assert isinstance(batch, Batch)
    run.train_mode()
    return batch


def _steps(options: argparse.Namespace, run: Run, batch: Batch) -> dict[str, Step]:
    """A step of each kind, by its name."""
    network = parallel(run)
    return {
        "whole step": lambda: train_step(run, network, batch),
        "bare network's forward, backward, optimiser": lambda: _bare_step(run, batch),
        "torchvision ssdlite320_mobilenet_v3_large": _torchvision_step(batch, options, tuned=False),
        "the same, bf16 and channels_last": _torchvision_step(batch, options, tuned=True),
        "whole step, eager NCHW fp32": _eager(options),
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
    """The whole step as PyTorch takes it by default: NCHW in float32."""
    run = _run(options, "fp32")
    batch = _batch(run)
    run.model.to(memory_format=torch.contiguous_format)
    plain = dataclasses.replace(batch, images=batch.images.contiguous())
    return lambda: train_step(run, run.model, plain)


def _bare_step(run: Run, batch: Batch) -> None:
    """What no training can do without: no targets, matching, loss or clipping."""
    is_reduced = run.number_format != torch.float32
    with torch.autocast(run.device.type, run.number_format, enabled=is_reduced):
        logits, offsets = run.model(batch.images.to(run.device))
    run.optimizer.zero_grad(set_to_none=True)
    (logits.float().sum() + offsets.float().sum()).backward()
    run.optimizer.step()


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


def _measure(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Seconds of each step in each round, after one that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                times[name].append(time.perf_counter() - start)
    return times


def _loader_rate(image_size: int, batch_size: int, workers: int) -> float:
    """Images a second from JPEG files of VOC's size, read, augmented and resized."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_photos(folder, 8)
        annotations = read_coco(str(folder), "train")
        records = annotations.records * 64
        size = (image_size, image_size)
        dataset = DetectionDataset(records, annotations.names, size, PRESETS["ssdlite"]())
        loader = iter(make_loader(dataset, batch_size, workers))
        next(loader)  # starting workers is not counted
        start = time.perf_counter()
        count = sum(len(batch.targets) for batch in loader)
        return count / (time.perf_counter() - start)


def _write_photos(folder: Path, count: int) -> None:
    """Drawn scenes as JPEG files, with a COCO file of their boxes."""
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    for index in range(count):
        scene = draw_scene(0, index, PHOTO_SIZE)
        name = f"{index}.jpg"
        write_image(folder / "train" / name, scene.image)
        height, width = PHOTO_SIZE
        images.append({"id": index, "file_name": name, "height": height, "width": width})
        for (x0, y0, x1, y1), label in zip(
            scene.boxes.tolist(), scene.labels.tolist(), strict=True
        ):
            box = [x0, y0, x1 - x0, y1 - y0]
            objects.append(
                {"id": len(objects) + 1, "image_id": index, "category_id": label, "bbox": box}
            )
    categories = [{"id": label, "name": shape} for label, shape in enumerate(SHAPES)]
    content = {"images": images, "annotations": objects, "categories": categories}
    write_json(folder / "annotations" / "instances_train.json", content)


if __name__ == "__main__":
    main()
