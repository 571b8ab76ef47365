"""``ssdlite detect``."""

import argparse
import os
import time
from collections.abc import Sequence
from typing import Any, NoReturn

import cv2
import torch
from tqdm import tqdm

from vision.cli.detect_options import check_ray, classes, load_options, post_process, scores
from vision.cli.detect_settings import (
    LABELS,
    check_is_new,
    make_settings,
    saved_identity,
    saved_kinds,
)
from vision.cli.detected import SOME_FAILED, conclude
from vision.cli.options import check_output_folder
from vision.cli.terminal import CommandResult
from vision.detection import (
    RESULTS,
    CocoIds,
    Journal,
    Outcomes,
    Report,
    Settings,
    Shard,
    ShardRecord,
    check_complete,
    check_inputs_stay,
    detect_sources,
    digest_weights,
    outcomes_on_ray,
    parse_shard,
    write_record,
)
from vision.detector import Detector
from vision.device import num_cores
from vision.errors import DataError
from vision.media import MediaInput, find_inputs
from vision.progress import progress
from vision.weights import find_weights

WORKERS_FOR_GPU = 4
"""Number of workers on a GPU: they read and write batches while one is in the network."""


def run(options: argparse.Namespace) -> CommandResult:
    """Detect, write annotated images and videos and the detections, and report failures."""
    check_output_folder(options.out)
    options.given_weights, options.weights = options.weights, find_weights(options.weights)
    unfinished = (options.out / Journal.NAME).exists()
    finished = any((options.out / name).exists() for name in (*RESULTS.values(), *LABELS))
    report = Report()
    everything = find_inputs(options.inputs, report.fail, options.out, report.others.update)
    if not everything:
        raise DataError("no image, video or stream is among the inputs")
    shard = parse_shard(options.shard) if options.shard else Shard(0, 1)
    sources = shard.of(everything)
    if options.resume and finished and not unfinished:
        check_complete(sources, options.out)
        print(f"nothing is left to do: the run in {options.out} is complete")
        values = {"out": options.out, "resumed": len(sources), "failures": report.failures}
        return CommandResult(SOME_FAILED if report.failures else 0, values)
    check_inputs_stay(sources, options.out)
    if options.ray:
        check_ray(options, sources)
    saved = saved_kinds(options.save)
    options.classes = classes(options)
    workers = options.workers or _num_workers(options, everything)
    detector = _load(options, workers)
    ids = CocoIds(detector.names, options.annotations if "coco" in saved else None, options.classes)
    if "coco" in saved:
        ids.check([(source.name, source.kind == "image") for source in everything])
    settings = make_settings(options, sources, workers)
    start = time.perf_counter()
    check_is_new(options, sources, settings, is_unfinished=unfinished)
    identity, outcomes = _identity(options), _outcomes(options, settings)
    with Journal(options.out, identity, resume=options.resume) as journal:
        (options.out / ShardRecord.NAME).unlink(missing_ok=True)  # the record of an earlier run
        with _progress(sources, journal) as bar:
            detect_sources(sources, detector, settings, journal, ids, report, bar.update, outcomes)
        if options.shard:
            equal = {**identity, "weights": digest_weights(options.weights)}
            kept = {"categories": ids.categories(), "results": settings.results, "settings": equal}
            write_record(options.out, shard, everything, journal, kept)
        if not report.failures:
            journal.remove()
    rate = report.num_new / (time.perf_counter() - start)
    return conclude(report, options, saved, rate)


def _progress(sources: Sequence[MediaInput], journal: Journal) -> "tqdm[NoReturn]":
    """A progress bar over images and frames; it has a total only if all inputs are images."""
    total = None
    if all(source.kind == "image" for source in sources):
        total = sum(source.name not in journal for source in sources)
    return progress(None, "detect", total, unit=" images")


def _num_workers(options: argparse.Namespace, sources: Sequence[MediaInput]) -> int:
    """The default of ``--workers``: one for each core, or 1 for a single image, with all cores.

    With ``--ray``, it is the number of workers in each task, which has one core or a GPU.
    """
    device = options.device
    if device not in {None, "cpu"}:
        return WORKERS_FOR_GPU
    if options.ray:
        return 1
    if device is None and torch.cuda.is_available():
        return WORKERS_FOR_GPU
    return 1 if len(sources) == 1 and sources[0].kind == "image" else num_cores()


def _load(options: argparse.Namespace, workers: int) -> Detector:
    """Load the detector; with several workers, each has one thread, and OpenCV starts none.

    With ``--ray``, only its class names are used in this process, which may have no GPU.
    """
    loaded = load_options(options)
    if options.ray:
        return Detector.load(**loaded | {"device": "cpu", "precision": None})
    if workers > 1:
        loaded["threads"] = options.threads or 1
        cv2.setNumThreads(0)
    return Detector.load(**loaded, streams=workers)


def _outcomes(options: argparse.Namespace, settings: Settings) -> Outcomes | None:
    """Detection on the machines of ``--ray``, which look weights up by name; None without it."""
    if not options.ray:
        return None
    loaded = {**load_options(options), "weights": options.given_weights}
    loaded["threads"] = options.threads or 1
    return lambda sources: outcomes_on_ray(options.ray, sources, settings, loaded)


def _identity(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that must not change between a run and its continuation."""
    stat = options.weights.stat()
    return {
        "weights": [os.path.realpath(options.weights), stat.st_size, stat.st_mtime_ns],
        "backend": [options.backend, options.precision],
        "score and classes": scores(options),
        "suppression": post_process(options),
        "stride": options.stride,
        **saved_identity(options),
    }
