"""Speed of training: ``python -m tests.benchmarks.training``.

Each round takes two steps of every kind in turn, of which the second counts, so that a machine
that slows down slows all of them; what is compared is the ratio of two kinds within a round, of
which the median is printed.
"""

import argparse
import dataclasses
import multiprocessing
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torchvision
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.transforms import v2

import vision.boxes as box_ops
from tests.benchmarks.gpu_runs import first_batch
from vision.config import Config, config_from_dict
from vision.data import DetectionDataset, build_augment, cached, make_loader, read_sources
from vision.data.synthetic import SHAPES, make_layout, render_scene
from vision.engine import write_json
from vision.engine.build import build_run
from vision.engine.optim import clip_gradients
from vision.engine.plan import Plan
from vision.engine.run import Run
from vision.engine.step import keep_freed_memory, train_step
from vision.formats import Record, read_coco
from vision.media import write_image
from vision.model import match
from vision.structures import Batch, Predictions, pack_targets

Step = Callable[[], object]
PHOTO_SIZE = (375, 500)
"""(height, width) of most of VOC's photographs."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-size", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loaders-only", action="store_true")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    print(
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, {platform.machine()}"
        f" with {torch.get_num_threads()} threads, {options.device}; batch of"
        f" {options.batch_size} at {options.image_size} px, {options.rounds} rounds"
    )
    if options.loaders_only:
        _print_loaders(options)
        return
    if options.device == "cpu":
        keep_freed_memory()  # for every kind of step, torchvision's too
    run = _run(options, "auto")
    batch = first_batch(run)
    steps = _steps(options, run, batch)
    with _in_a_child(options) as child:
        times = _measure(steps | {"the same in a process of its own memory": child}, options.rounds)
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
    _print_loaders(options)


def _run(options: argparse.Namespace, precision: str) -> Run:
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
        "full step": lambda: train_step(run, batch),
        "bare network's forward, backward, optimiser": lambda: _bare_step(run, batch),
        "torchvision ssdlite320_mobilenet_v3_large": _torchvision_step(batch, options, tuned=False),
        "the same, bf16 and channels_last": _torchvision_step(batch, options, tuned=True),
        "full step, eager NCHW fp32": _eager(options),
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
    run = _run(options, "fp32")
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


def _measure(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Seconds of each kind's second step in each round, after a round that is not counted.

    The first one pays for what the kind before it left in caches and in freed memory.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            step()
            start = time.perf_counter()
            step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                times[name].append(time.perf_counter() - start)
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


class _TorchvisionReference(Dataset[tuple[Tensor, Tensor]]):
    """What torchvision's reference script does for SSDLite: Pillow, IoU crop, flip, float pixels.

    Resizing, which its model does, is done here, as ours is.
    """

    def __init__(self, records: Sequence[Record], image_size: int) -> None:
        self.records = records
        self.transform = v2.Compose(
            [
                v2.RandomIoUCrop(),
                v2.RandomHorizontalFlip(),
                v2.SanitizeBoundingBoxes(),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Resize([image_size, image_size], antialias=True),
            ]
        )

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        record = self.records[index]
        image = Image.open(record.image_id).convert("RGB")
        boxes = tv_tensors.BoundingBoxes(
            torch.from_numpy(record.boxes), format="XYXY", canvas_size=record.size
        )
        labels = torch.zeros(len(boxes), dtype=torch.int64)
        sample = self.transform({"image": image, "boxes": boxes, "labels": labels})
        return sample["image"], sample["boxes"]


def _print_loaders(options: argparse.Namespace) -> None:
    """Images a second from JPEG files of VOC's size, read, augmented and resized."""
    size, batch_size = options.image_size, options.batch_size
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_photos(folder, 8)
        annotations = read_coco(str(folder), "train")
        records = annotations.records * 64
        augment = build_augment("ssdlite")
        ours = DetectionDataset(records, annotations.names, (size, size), augment)
        kept = cached(records, folder / "cache")
        from_cache = DetectionDataset(kept, annotations.names, (size, size), augment)
        theirs = _TorchvisionReference(records, size)
        print(
            f"loaders, images/s from {PHOTO_SIZE} JPEGs, IoU crop and flip, 1 core and 2 workers:"
        )
        rates: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            for workers in (0, 2):
                for label, loader in (
                    ("ours", make_loader(ours, batch_size, workers)),
                    ("ours, cached", make_loader(from_cache, batch_size, workers)),
                    ("torchvision's reference", _reference_loader(theirs, batch_size, workers)),
                ):
                    rates.setdefault(f"{label}, {workers} workers", []).append(_rate(loader))
        for label, found in rates.items():
            print(f"  {label:36} {statistics.median(found):7.0f}")


def _reference_loader(
    dataset: _TorchvisionReference, batch_size: int, workers: int
) -> "DataLoader[Any]":
    return DataLoader(dataset, batch_size, num_workers=workers, collate_fn=_side_by_side)


def _side_by_side(samples: list[tuple[Tensor, Tensor]]) -> tuple[tuple[Any, ...], ...]:
    return tuple(zip(*samples, strict=True))


def _rate(loader: "DataLoader[Any]") -> float:
    """Images a second after the first batch, with which workers start."""
    batches = iter(loader)
    next(batches)
    start, count = time.perf_counter(), 0
    for batch in batches:
        count += len(batch.targets if isinstance(batch, Batch) else batch[0])
    return count / (time.perf_counter() - start)


def _write_photos(folder: Path, count: int) -> None:
    """Synthetic scenes as JPEG files, with a COCO file of their boxes."""
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    for index in range(count):
        layout = make_layout(0, index, PHOTO_SIZE)
        name = f"{index}.jpg"
        write_image(folder / "train" / name, render_scene(0, index, PHOTO_SIZE))
        height, width = PHOTO_SIZE
        images.append({"id": index, "file_name": name, "height": height, "width": width})
        boxes = box_ops.xyxy_to_xywh(torch.from_numpy(layout.boxes)).tolist()
        for box, label in zip(boxes, layout.labels.tolist(), strict=True):
            objects.append(
                {"id": len(objects) + 1, "image_id": index, "category_id": label, "bbox": box}
            )
    categories = [{"id": label, "name": shape} for label, shape in enumerate(SHAPES)]
    content = {"images": images, "annotations": objects, "categories": categories}
    write_json(folder / "annotations" / "instances_train.json", content)


if __name__ == "__main__":
    main()
