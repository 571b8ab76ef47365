"""``ssdlite eval``."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vision.choices import SHIPPED_WEIGHTS
from vision.cli.options import (
    claimed,
    data_words,
    describe_data,
    open_detector,
    runtime_options_of,
)
from vision.cli.terminal import MAX_STEPS, CommandResult, Step, paint_table, step
from vision.detections import Detections
from vision.detector import Detector
from vision.engine import best_thresholds, evaluate_detector, write_json
from vision.errors import ConfigError
from vision.metrics import Metrics, evaluate_detections, read_coco_results
from vision.metrics.analysis import analyse
from vision.report import (
    REPORT,
    Commands,
    Photo,
    commands_for,
    next_steps,
    photos_in,
    photos_of,
    write_report,
)
from vision.runtime import RuntimeOptions
from vision.structures import Target

METRICS = "metrics.json"


class Evaluated(NamedTuple):
    """An evaluation, and the input of its report; ``detector`` is None for ``--detections``."""

    metrics: Metrics
    detections: Sequence[Detections]
    targets: Sequence[Target]
    photos: list[Photo] | None
    title: str
    detector: Detector | None
    irregularities: dict[str, int] | None = None


def run(options: argparse.Namespace) -> CommandResult:
    """Evaluate, print the table, and write ``metrics.json`` and ``report.html`` if asked to."""
    is_of_file = bool(options.detections or options.annotations)
    options.weights = options.weights or (None if is_of_file else Path(SHIPPED_WEIGHTS[0]))
    folder = _report_folder(options) if options.report else None
    with claimed(_outputs(options.out, folder), overwrite=options.overwrite):
        evaluated = _evaluate_file(options) if is_of_file else _evaluate_weights(options)
        metrics = evaluated.metrics
        print(paint_table(metrics.table()))
        content, steps = metrics.to_dict(), _steps(options)
        if evaluated.irregularities is not None:
            content["irregularities"] = evaluated.irregularities
        if options.tiles != 1:
            content["tiles"] = options.tiles
        if folder:
            more, steps = _write_report(folder / REPORT, evaluated, options)
            content |= more
        if options.out:
            write_json(options.out / METRICS, content)
            print(f"metrics are in {options.out / METRICS}")
    if folder:
        print(f"the report is {folder / REPORT}")
    return CommandResult(values=content, steps=steps)


def _steps(options: argparse.Namespace) -> list[Step]:
    """The next step: the same evaluation with the report."""
    named = [
        word
        for name in ("weights", "detections", "annotations")
        if (value := getattr(options, name))
        for word in (f"--{name}", value)
    ]
    if options.tiles != 1:
        named += ["--tiles", options.tiles]
    why = "See which errors cost most, and what to do about them:"
    return [step("eval", *named, *data_words(options), "--report", why=why)]


def _report_folder(options: argparse.Namespace) -> Path:
    """``--out``, else ``eval`` in the run folder that ``--weights`` names, else ``report``.

    The run folder itself already holds the report of the training.
    """
    if options.out:
        return Path(options.out)
    is_run = options.weights is not None and options.weights.is_dir()
    return options.weights / "eval" if is_run else Path("report")


def _outputs(out: Path | None, folder: Path | None) -> list[Path]:
    """The files that the command writes."""
    return [*([out / METRICS] if out else []), *([folder / REPORT] if folder else [])]


def _evaluate_weights(options: argparse.Namespace) -> Evaluated:
    if options.images:
        raise ConfigError("--images is for --detections only: leave it out with --weights")
    detector, config = open_detector(options)
    detector.tiles = options.tiles
    results = evaluate_detector(detector, config, engine=options.engine)
    metrics, detections, dataset, irregularities = results
    tiles = f" in tiles ({options.tiles})" if options.tiles != 1 else ""
    title = f"{options.weights} on {describe_data(config)}{tiles}"
    return Evaluated(
        metrics, detections, dataset.targets, photos_of(dataset), title, detector, irregularities
    )


def _evaluate_file(options: argparse.Namespace) -> Evaluated:
    if options.weights or not (options.detections and options.annotations):
        raise ConfigError("give either --weights, or both --detections and --annotations")
    given = options.config or options.data or options.overrides or options.tiles != 1
    if given or runtime_options_of(options) != RuntimeOptions():
        raise ConfigError(
            "--config, --data, --tiles, key=value and the runtime options are for --weights, not"
            " for --detections; leave them out"
        )
    if options.images and not options.report:
        raise ConfigError("--images is for --report only: metrics need no images; add --report")
    detections, targets, names = read_coco_results(options.annotations, options.detections)
    folder = options.images
    photos = photos_in(folder, options.annotations, targets) if folder else None
    metrics = evaluate_detections(detections, targets, names, engine=options.engine)
    title = f"{options.detections} on {options.annotations}"
    return Evaluated(metrics, detections, targets, photos, title, None)


def _write_report(
    path: Path, evaluated: Evaluated, options: argparse.Namespace
) -> tuple[dict[str, Any], list[Step]]:
    """Write the page; return values to add to the metrics, and the next steps."""
    metrics, detections, targets, photos, title, detector, _ = evaluated
    analysis = analyse(detections, targets, metrics.names, metrics)
    thresholds = best_thresholds(analysis)
    if photos is None:
        print("the report has no pictures; name the folder of the images with --images")
    commands = _commands(options, detector, thresholds)
    write_report(path, analysis, title, photos, commands)
    advice = next_steps(analysis, commands)
    steps = [Step(one.command, one.text) for one in advice if one.command]
    return {"interval95": analysis.intervals, "thresholds": thresholds}, steps[:MAX_STEPS]


def _commands(
    options: argparse.Namespace, detector: Detector | None, thresholds: dict[str, float]
) -> Commands:
    """The commands that the report may recommend; for a file of detections, only ``check``."""
    if detector is None:
        return Commands(check="ssdlite check --data MINE --out check")
    run = options.weights if options.weights.is_dir() else None
    scores = ["best"]
    if not detector.training.get("thresholds"):
        scores = [f"{name}={score:g}" for name, score in thresholds.items()]
    return commands_for(str(options.weights), data_words(options), run, detector.image_size, scores)
