"""``ssdlite benchmark``."""

import argparse
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from jaxtyping import UInt8
from numpy import ndarray

from vision.benchmark import (
    EAGER,
    Candidate,
    Row,
    draw_chart,
    list_candidates,
    load_candidate,
    measure_times,
    peak_memory,
    row_of,
    support_matrix,
    table,
    throughput,
)
from vision.cli.options import claimed, data_of
from vision.cli.terminal import CommandResult, paint_table, step
from vision.config import Config
from vision.data import sample_images
from vision.detector import Detector
from vision.device import choose_device, num_cores
from vision.engine import evaluate_detector, write_json
from vision.errors import VisionError
from vision.export import DEFAULT_IMAGES, NUM_CALIBRATED, NUM_COMPARED, default_images
from vision.images import resize
from vision.model import build_post_process, count_macs, count_parameters
from vision.weights import find_weights, load_weights

Images = list[UInt8[ndarray, "h w 3"]]

PHOTO_SIZE = (480, 640)
"""(height, width) of the decoded images that detection is timed on."""


def run(options: argparse.Namespace) -> CommandResult:
    """Measure every backend and precision, print the table, and write it with the chart."""
    choose_device(options.device or "auto")
    file = options.out / "benchmark.json"
    with claimed([file], overwrite=options.overwrite):
        result = _benchmark(options, file)
    print(f"the table and the chart are in {options.out}")
    return result


def _benchmark(options: argparse.Namespace, file: Path) -> CommandResult:
    options.weights = find_weights(options.weights)
    saved = load_weights(options.weights)
    config = data_of(options, saved.config)
    size = saved.model.image_size
    photos = _photos(config)
    small = [resize(photo, size) for photo in photos]
    calibration = _calibration(config, size)
    macs = count_macs(saved.model, size) / 1e6
    print(
        f"{options.weights}: {size[0]} x {size[1]} pixels, {len(saved.names)} classes,"
        f" {count_parameters(saved.model):,} parameters, {macs:,.0f} million MACs"
    )
    with tempfile.TemporaryDirectory(prefix="ssdlite-") as folder:
        candidates, left_out = list_candidates(
            options.weights, saved, small, calibration, Path(folder), options.device
        )
        rows = _measure(candidates, photos, size, options, config)
    for line in left_out:
        print(line)
    machine = {"platform": platform.platform(), "cores": num_cores(), "torch": torch.__version__}
    print("{platform}, {cores} cores, torch {torch}".format_map(machine))
    print(support_matrix(candidates, rows) if options.markdown else paint_table(table(rows)))
    content = {"machine": machine, "rows": [asdict(row) for row in rows], "left out": left_out}
    write_json(file, content)
    draw_chart(rows, options.out / "benchmark.png")
    words = ("export", "--weights", options.weights, "--to", "onnx")
    return CommandResult(0, content, [step(*words, why="Write it for a faster runtime:")])


def _photos(config: Config) -> Images:
    """The images to measure on: of ``data.val``, else those of the package."""
    if config.data.val is not None:
        return sample_images(config.data.val, "data.val", NUM_COMPARED, PHOTO_SIZE)
    print(
        f"no data are named, so the images are {DEFAULT_IMAGES} and average precision is not"
        " measured; name data with --data FOLDER"
    )
    return default_images(NUM_COMPARED, PHOTO_SIZE)


def _calibration(config: Config, size: tuple[int, int]) -> Images:
    """The images to calibrate int8 on; empty if they cannot be read, which is printed."""
    try:
        return sample_images(config.data.train, "data.train", NUM_CALIBRATED, size)
    except VisionError as error:
        print(f"int8 is left out: {error}")
        return []


def _measure(
    candidates: Sequence[Candidate],
    photos: Images,
    size: tuple[int, int],
    options: argparse.Namespace,
    config: Config,
) -> list[Row]:
    """Measure memory in separate processes, times in turns, then rates and metrics one by one."""
    memory = [peak_memory(candidate, photos[0]) for candidate in candidates]
    loaded = {candidate.name: load_candidate(candidate) for candidate in candidates}
    times = measure_times(loaded, photos, size, options.rounds)
    rows = []
    for candidate, peak in zip(candidates, memory, strict=True):
        name, detector = candidate.name, loaded[candidate.name].detector
        values: tuple[float | None, float | None] = (None, None)
        if detector is not None and config.data.val is not None and not options.no_map:
            detector = Detector(detector.session, build_post_process(config.model), detector.names)
            metrics = evaluate_detector(detector, config).metrics
            values = (metrics.voc.mean, metrics.coco.AP)
        rate = throughput(candidate, photos, num_cores())
        rows.append(row_of(name, times[name], times[EAGER], rate, peak, values))
    return rows
