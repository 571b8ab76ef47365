"""``ssdlite benchmark``."""

import argparse
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import UInt8
from numpy import ndarray

from vision.benchmark import (
    EAGER,
    Entrant,
    Row,
    draw,
    list_entrants,
    measure_times,
    open_contender,
    peak_memory,
    row_of,
    table,
    throughput,
)
from vision.cli.options import check_output_path, data_of
from vision.config import Config
from vision.data import sample_images
from vision.device import choose_device, num_cores
from vision.engine import evaluate_runnable, write_json
from vision.errors import VisionError
from vision.export import NUM_CALIBRATED, NUM_COMPARED
from vision.images import resize
from vision.model import count_macs, count_parameters
from vision.weights import find_weights, load_weights

__all__ = ["run"]

PHOTO_SIZE = (480, 640)
"""(height, width) of the decoded images that detection is timed on."""


def run(options: argparse.Namespace) -> int:
    """Measure every backend and precision, and print the table."""
    file = options.out / "benchmark.json"
    check_output_path(file, overwrite=options.overwrite)
    choose_device(options.device or "auto")
    options.weights = find_weights(options.weights)
    saved = load_weights(options.weights)
    config = data_of(options, saved.config)
    size = saved.model.image_size
    photos = sample_images(config.data.val, "data.val", NUM_COMPARED, PHOTO_SIZE)
    small = [resize(photo, size) for photo in photos]
    calibration = _calibration(config, size)
    macs = count_macs(saved.model, size) / 1e6
    print(
        f"{options.weights}: {size[0]} x {size[1]} pixels, {len(saved.names)} classes,"
        f" {count_parameters(saved.model):,} parameters, {macs:,.0f} million MACs"
    )
    with tempfile.TemporaryDirectory(prefix="ssdlite-") as folder:
        entrants, absent = list_entrants(
            options.weights, saved, small, calibration, Path(folder), options.device
        )
        rows = _measure(entrants, photos, size, options, config)
    for line in absent:
        print(line)
    print(f"{platform.platform()}, {num_cores()} cores, torch {torch.__version__}")
    print(table(rows))
    machine = {"platform": platform.platform(), "cores": num_cores(), "torch": torch.__version__}
    write_json(
        file,
        {"machine": machine, "rows": [row.to_dict() for row in rows], "left out": absent},
    )
    draw(rows, options.out / "benchmark.png")
    print(f"table and picture are in {options.out}")
    return 0


def _calibration(config: Config, size: tuple[int, int]) -> list[UInt8[ndarray, "H W 3"]]:
    """Images for int8; without any, int8 is left out."""
    try:
        return sample_images(config.data.train, "data.train", NUM_CALIBRATED, size)
    except VisionError as error:
        print(f"int8 cannot be calibrated: {error}")
        return []


def _measure(
    entrants: Sequence[Entrant],
    photos: Sequence[UInt8[ndarray, "h w 3"]],
    size: tuple[int, int],
    options: argparse.Namespace,
    config: Config,
) -> list[Row]:
    """Memory in processes of their own, times in turn, then rates and precision one by one."""
    memory = [peak_memory(entrant, photos[0]) for entrant in entrants]
    contenders = {entrant.name: open_contender(entrant) for entrant in entrants}
    times = measure_times(contenders, photos, size, options.rounds)
    rows = []
    for entrant, peak in zip(entrants, memory, strict=True):
        runnable = contenders[entrant.name].runnable
        precision: tuple[float | None, float | None] = (None, None)
        if runnable is not None and not options.no_map:
            metrics = evaluate_runnable(runnable, config)
            precision = (metrics.voc.mean, metrics.coco.AP)
        rate = throughput(entrant, photos, num_cores())
        rows.append(row_of(entrant.name, times[entrant.name], times[EAGER], rate, peak, precision))
    return rows
