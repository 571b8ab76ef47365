"""``ssdlite detect``."""

import argparse
import itertools
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import cv2
import torch
from tqdm import tqdm

from vision.cli.detect_settings import (
    LABELS,
    check_is_new,
    make_settings,
    saved_identity,
    saved_kinds,
    split_words,
)
from vision.cli.detected import SOME_FAILED, conclude
from vision.cli.options import check_output_folder
from vision.cli.terminal import CommandResult
from vision.detection import (
    RESULTS,
    CocoIds,
    Journal,
    Report,
    Shard,
    ShardRecord,
    check_complete,
    check_inputs_stay,
    detect_sources,
    digest_weights,
    parse_shard,
    write_record,
)
from vision.detector import Detector
from vision.device import num_cores
from vision.errors import ConfigError, DataError
from vision.media import MediaInput, find_inputs
from vision.progress import progress
from vision.runtime import USUAL_SCORE, Score, read_names
from vision.weights import find_weights

WORKERS_FOR_GPU = 4
"""Batches being read or written while one is in the network."""


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
    saved = saved_kinds(options.save)
    options.classes = _classes(options)
    workers = options.workers or _num_workers(everything, options.device)
    detector = _load(options, workers)
    ids = CocoIds(detector.names, options.annotations if "coco" in saved else None, options.classes)
    if "coco" in saved:
        ids.check([(source.name, source.kind == "image") for source in everything])
    settings = make_settings(options, sources, workers)
    start = time.perf_counter()
    check_is_new(options, sources, settings, is_unfinished=unfinished)
    identity = _identity(options)
    with Journal(options.out, identity, resume=options.resume) as journal:
        (options.out / ShardRecord.NAME).unlink(missing_ok=True)  # that of an earlier run
        with _progress(sources, journal) as bar:
            detect_sources(sources, detector, settings, journal, ids, report, bar.update)
        if options.shard:
            equal = {**identity, "weights": digest_weights(options.weights)}
            kept = {"categories": ids.categories(), "results": settings.results, "settings": equal}
            write_record(options.out, shard, everything, journal, kept)
        if not report.failures:
            journal.remove()
    rate = report.num_new / (time.perf_counter() - start)
    return conclude(report, options, saved, rate)


def _progress(sources: Sequence[MediaInput], journal: Journal) -> "tqdm[NoReturn]":
    """A bar over images and frames; without a total if there is a video."""
    total = None
    if all(source.kind == "image" for source in sources):
        total = sum(source.name not in journal for source in sources)
    return progress(None, "detect", total, unit=" images")


def _num_workers(sources: Sequence[MediaInput], device: str | None) -> int:
    """One for each core; one for a single image, on which all cores work."""
    if device not in {None, "cpu"} or (device is None and torch.cuda.is_available()):
        return WORKERS_FOR_GPU
    return 1 if len(sources) == 1 and sources[0].kind == "image" else num_cores()


def _load(options: argparse.Namespace, workers: int) -> Detector:
    """The detector; several workers have one thread each, and OpenCV has none of its own."""
    threads = options.threads
    if workers > 1:
        threads = threads or 1
        cv2.setNumThreads(0)
    return Detector.load(
        options.weights,
        _scores(options),
        options.device,
        backend=options.backend,
        precision=options.precision,
        threads=threads,
        streams=workers,
        tiles=options.tiles,
        postprocess=_post_process(options),
    )


def _post_process(options: argparse.Namespace) -> dict[str, Any]:
    """Keys of ``model.postprocess`` that the options set."""
    given = {
        "max_detections": options.max,
        "suppression": options.suppression,
        "class_agnostic": options.class_agnostic or None,
    }
    return {key: value for key, value in given.items() if value is not None}


def _scores(options: argparse.Namespace) -> Score | Mapping[str, Score]:
    """Score thresholds from ``--score`` and ``--classes``."""
    default: Score = USUAL_SCORE
    by_name: dict[str, Score] = {}
    for text in options.score or []:
        name, _, value = text.rpartition("=")
        try:
            score: Score = "best" if value == "best" else float(value)
        except ValueError:
            raise ConfigError(f"--score {text}: expected a number, best, or CLASS=number") from None
        if name:
            by_name[name] = score
        else:
            default = score
    if options.classes:
        names = options.classes
        unused = [name for name in by_name if name not in names]
        if unused:
            raise ConfigError(f"--score {unused[0]}=...: --classes leaves {unused[0]} out")
        return {name: by_name.get(name, default) for name in names}
    return {"": default, **by_name} if by_name else default


def _classes(options: argparse.Namespace) -> list[str] | None:
    """The names in ``--classes``: each a class, also one with a comma, or several with commas."""
    if options.classes is None:
        return None
    known = read_names(options.weights) if "," in "".join(options.classes) else []
    given = [[text] if text in known else split_words(text) for text in options.classes]
    if names := list(dict.fromkeys(itertools.chain.from_iterable(given))):
        return names
    raise ConfigError("--classes: expected names, found nothing")


def _identity(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that must not change between a run and its continuation."""
    stat = Path(options.weights).stat()
    return {
        "weights": [os.path.realpath(options.weights), stat.st_size, stat.st_mtime_ns],
        "backend": [options.backend, options.precision],
        "score and classes": _scores(options),
        "suppression": _post_process(options),
        "stride": options.stride,
        **saved_identity(options),
    }
