"""Images a second that one core reads, augments and resizes, beside other projects' loaders.

``python -m tests.benchmarks.loader --data '{format: voc, root: VOC2007, split: train.txt}'``

Each round takes the same number of images of every kind in turn; medians over the rounds are
printed. Without ``--workers`` the time is that of the processor, which a shared machine changes
less.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import torch
import yaml
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import vision.boxes as box_ops
from tests.benchmarks.other_loaders import Letterbox, TorchvisionReference
from vision.config import config_from_dict
from vision.data import PRESETS, DetectionDataset, cached, make_loader, read_sources
from vision.data.synthetic import SHAPES, make_layout, render_scene
from vision.engine import write_json
from vision.formats import Record
from vision.images import read_image, resize
from vision.media import write_image

PHOTO_SIZE = (375, 500)
"""(height, width) of most of VOC's photographs."""
BATCH_SIZE = 32
QUALITY = 95
"""JPEG quality of photographs that are resized, with which they are as large as VOC's."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="a source, as data.train; synthetic photographs if left out")
    parser.add_argument("--long-side", type=int, help="resize the photographs to this first")
    parser.add_argument("--image-size", type=int, default=320)
    parser.add_argument("--images", type=int, default=512, help="of each kind in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as name:
        records = _records(options, Path(name))
        loaders = _loaders(records, options, Path(name))
        unit = "a second" if options.workers else "a second of one core"
        print(f"images {unit}: {len(records)} files, {options.rounds} rounds, {options}")
        rates: dict[str, list[float]] = {label: [] for label in loaders}
        for turn in range(options.rounds + 1):
            for label, loader in loaders.items():
                rate = _rate(loader, options.workers)
                if turn:  # the first one starts workers and fills caches
                    rates[label].append(rate)
        for label, found in rates.items():
            print(f"  {label:60} {statistics.median(found):7.0f}")


def _records(options: argparse.Namespace, folder: Path) -> list[Record]:
    """As many records as a round takes, evenly spread over the data."""
    source: object = yaml.safe_load(options.data) if options.data else None
    if source is None:
        write_photos(folder / "photos", 8)
        source = {"format": "coco", "root": str(folder / "photos"), "split": "train"}
    config = config_from_dict({"data": {"train": source}}, [], "benchmark")
    found = read_sources(config.data.train, "data.train").records
    found = found[:: max(1, len(found) // options.images)][: options.images]
    if options.long_side is not None:
        found = [_resized(record, options.long_side, folder) for record in found]
    return [found[index % len(found)] for index in range(options.images)]


def _resized(record: Record, long_side: int, folder: Path) -> Record:
    """The record with a file of its image whose long side has this length."""
    ratio = long_side / max(record.size)
    size = round(record.size[0] * ratio), round(record.size[1] * ratio)
    path = folder / f"{Path(record.image_id).stem}.jpg"
    pixels = cv2.cvtColor(resize(record.load(), size), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    boxes = box_ops.scale(torch.from_numpy(record.boxes), record.size, size).numpy()
    read = partial(read_image, path)
    return replace(record, image_id=str(path), file=path, size=size, boxes=boxes, read=read)


def _loaders(
    records: list[Record], options: argparse.Namespace, folder: Path
) -> dict[str, "DataLoader[Any]"]:
    """What is compared, by name."""
    size = options.image_size
    names = sorted({name for record in records for name in record.names})
    kept = cached(records, folder / "cache")
    loaders: dict[str, DataLoader[Any]] = {}
    for label, preset in (("crop, flip", "ssdlite"), ("colour, zoom-out, crop, flip", "ssd")):
        for source, kind in ((records, "ours"), (kept, "ours, cached")):
            dataset = DetectionDataset(source, names, (size, size), PRESETS[preset])
            loader = make_loader(dataset, BATCH_SIZE, options.workers)
            loaders[f"{kind}: {label}"] = loader
        for backend in ("pil", "tensor"):
            reference = TorchvisionReference(records, size, backend, preset)
            loaders[f"torchvision's reference ({backend}): {label}"] = _plain(reference, options)
    letterbox = Letterbox(records, size)
    loaders["OpenCV letterbox as Ultralytics' without mosaic: flip"] = _plain(letterbox, options)
    return loaders


def _plain(dataset: Dataset[Any], options: argparse.Namespace) -> "DataLoader[Any]":
    return DataLoader(dataset, BATCH_SIZE, num_workers=options.workers, collate_fn=_stacked)


def _stacked(samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, list[Tensor]]:
    return torch.stack([image for image, _ in samples]), [boxes for _, boxes in samples]


def _rate(loader: "DataLoader[Any]", workers: int) -> float:
    """Images a second; with workers, after the first batches, with which they start."""
    clock = time.perf_counter if workers else time.process_time
    batches: Iterator[Any] = iter(loader)
    skipped = 2 * workers
    for _ in islice(batches, skipped):
        pass
    start, count = clock(), sum(1 for _ in batches)
    return count * BATCH_SIZE / (clock() - start)


def write_photos(folder: Path, count: int) -> None:
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
