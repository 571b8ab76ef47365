"""``ssdlite detect``."""

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import cv2
import torch
from tqdm import tqdm

from vision.detection import RESULTS, CocoIds, Journal, Report, Settings, detect_sources
from vision.detector import Detector
from vision.device import num_cores
from vision.errors import ConfigError, DataError
from vision.media import Source, Window, find_inputs
from vision.weights import find_weights

__all__ = ["run"]

SOME_FAILED = 1
SAVED = ("pictures", *RESULTS)
BATCHES_ON_A_GPU = 4
"""So many are read, or written, while one is in the network."""


def run(options: argparse.Namespace) -> int:
    """Detect, write annotated images and videos and the detections, and say what failed."""
    options.weights = find_weights(options.weights)
    if options.resume and not (options.out / Journal.NAME).exists() and _is_finished(options.out):
        print(f"nothing is left to do: {options.out} holds a run that came to its end")
        return 0
    report = Report()
    sources = find_inputs(options.inputs, report.fail, options.out)
    if not sources:
        raise DataError("there is nothing to look at")
    _keep_inputs(sources, options.out)
    saved = _saved(options.save)
    workers = options.workers or _workers(sources, options)
    detector = _load(options, workers)
    ids = CocoIds(detector.names, options.annotations)
    if "coco" in saved:
        ids.check([source.name for source in sources if source.kind == "image"])
    settings = Settings(
        options.out,
        "pictures" in saved,
        [kind for kind in RESULTS if kind in saved],
        options.stride,
        workers,
        options.batch,
        Window("ssdlite").show if options.show else None,
    )
    began = time.perf_counter()
    _keep_results(sources, settings, options)
    with Journal(options.out, _identity(options), resume=options.resume) as journal:
        with _progress(sources, journal) as bar:
            detect_sources(sources, detector, settings, journal, ids, report, bar.update)
        if not report.failures:
            journal.remove()
    return _conclude(report, options.out, report.num_new / (time.perf_counter() - began))


def _progress(sources: Sequence[Source], journal: Journal) -> "tqdm[NoReturn]":
    """A bar over images and frames; without an end where there is a video."""
    left = sum(source.name not in journal for source in sources)
    are_images = all(source.kind == "image" for source in sources)
    return tqdm(
        total=left if are_images else None,
        desc="detect",
        unit=" images",
        leave=False,
        dynamic_ncols=True,
        disable=None,
    )


def _conclude(report: Report, out: Path, rate: float) -> int:
    """Say what came of it; the exit code."""
    resumed = f", {report.num_resumed} inputs were done before" if report.num_resumed else ""
    print(
        f"{report.num_objects} objects in {report.num_images} images or frames; {rate:.1f}"
        f" images/s{resumed}; results are in {out}"
    )
    if not report.failures:
        return 0
    print(
        f"{len(report.failures)} inputs failed, first: {report.failures[0]}; --resume tries them"
        " again"
    )
    return SOME_FAILED


def _saved(text: str) -> list[str]:
    saved = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in saved if word not in SAVED]
    if unknown:
        raise ConfigError(f"--save {unknown[0]}: expected some of {', '.join(SAVED)}")
    if not saved:
        raise ConfigError(f"--save: expected some of {', '.join(SAVED)}, got nothing")
    return saved


def _workers(sources: Sequence[Source], options: argparse.Namespace) -> int:
    """One for each core; for one image, all cores work on it."""
    if options.device not in {None, "cpu"} or (
        options.device is None and torch.cuda.is_available()
    ):
        return BATCHES_ON_A_GPU
    if len(sources) == 1 and sources[0].kind == "image":
        return 1
    return num_cores()


def _load(options: argparse.Namespace, workers: int) -> Detector:
    """The detector; with several workers each has one thread, and OpenCV has none of its own."""
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


def _scores(options: argparse.Namespace) -> float | Mapping[str, float]:
    """Least scores from ``--score`` and ``--classes``."""
    least, by_name = 0.4, {}
    for text in options.score or []:
        name, _, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            raise ConfigError(f"--score {text}: expected a number, or CLASS=number") from None
        if name:
            by_name[name] = number
        else:
            least = number
    if options.classes is not None:
        names = [name.strip() for name in options.classes.split(",") if name.strip()]
        if not names:
            raise ConfigError("--classes: expected names, got nothing")
        unused = [name for name in by_name if name not in names]
        if unused:
            raise ConfigError(f"--score {unused[0]}=...: --classes leaves {unused[0]} out")
        return {name: by_name.get(name, least) for name in names}
    return {"": least, **by_name} if by_name else least


def _identity(options: argparse.Namespace) -> dict[str, Any]:
    """What must not change between a run and its continuation."""
    stat = Path(options.weights).stat()
    return {
        "weights": [os.path.realpath(options.weights), stat.st_size, stat.st_mtime_ns],
        "backend": [options.backend, options.precision],
        "score and classes": _scores(options),
        "suppression": _post_process(options),
        "pictures": "pictures" in options.save,
        "stride": options.stride,
    }


def _is_finished(out: Path) -> bool:
    return any((out / name).exists() for name in RESULTS.values())


def _keep_inputs(sources: Sequence[Source], out: Path) -> None:
    """Raise DataError if a result would take the place of any input."""
    # os.path, since Path.resolve() fails on links in a circle
    inputs = {os.path.realpath(source.path) for source in sources if source.address is None}
    for source in sources:
        if os.path.realpath(out / source.relative) in inputs:
            raise DataError(f"{out / source.relative} would be overwritten; name another --out")


def _keep_results(
    sources: Sequence[Source], settings: Settings, options: argparse.Namespace
) -> None:
    """Raise DataError if results are there that neither option allows to replace."""
    journal = options.out / Journal.NAME
    if options.overwrite or (options.resume and journal.exists()):
        return
    if journal.exists():
        raise DataError(
            f"{options.out} holds an unfinished run; go on with --resume, or start anew with"
            " --overwrite"
        )
    files = [options.out / RESULTS[kind] for kind in settings.results]
    if settings.pictures:
        files += [options.out / source.relative for source in sources]
    there = [file for file in files if file.exists()]
    if there:
        more = f" and {len(there) - 1} more files exist" if there[1:] else " exists"
        raise DataError(f"{there[0]}{more}; name another --out, or pass --overwrite")
