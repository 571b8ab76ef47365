"""``ssdlite compare``."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vision.cli.options import (
    claimed,
    data_words,
    describe_data,
    open_detector,
    runtime_options_of,
)
from vision.cli.terminal import CommandResult, Step, step
from vision.config import Config
from vision.detections import Detections
from vision.engine import detect_with_both
from vision.errors import ConfigError
from vision.metrics import read_coco_results
from vision.metrics.comparison import compare_detections
from vision.report import (
    Photo,
    photos_in,
    photos_of,
    render_comparison,
    text_lines,
    verdict,
    write_page,
)
from vision.runtime import RuntimeOptions
from vision.structures import Target

PAGE = "compare.html"
MAX_NAMED = 8
"""Maximum number of left-out classes of each kind that are listed."""
LEFT_OUT = ("known to A alone", "known to B alone", "in the data alone")


class Evaluated(NamedTuple):
    """Detections of both detectors in the same images; ``photos`` is None without image files."""

    detections: tuple[Sequence[Detections], Sequence[Detections]]
    targets: Sequence[Target]
    names: Sequence[str]
    notes: list[str]
    photos: list[Photo] | None


def run(options: argparse.Namespace) -> CommandResult:
    """Compare, print the tables and the verdict, and write the page."""
    page = options.out / PAGE
    with claimed([page], overwrite=options.overwrite):
        result = _compare(options, page)
    print(f"the page is {page}")
    return result


def _compare(options: argparse.Namespace, page: Path) -> CommandResult:
    detections, targets, names, notes, photos = _evaluate(options)
    detectors = (str(options.first), str(options.second))
    print(f"A  {detectors[0]}", f"B  {detectors[1]}", *notes, sep="\n", flush=True)
    comparison = compare_detections(*detections, targets, names)
    images = [Path(str(target.image_id)).name for target in targets]
    print("", *text_lines(comparison, images), "", verdict(comparison), sep="\n")
    write_page(page, render_comparison(comparison, detectors, notes, photos))
    return CommandResult(steps=[_step(options)])


def _step(options: argparse.Namespace) -> Step:
    """The next step: the report of the second detector."""
    words = ["--weights", options.second, *data_words(options)]
    if options.annotations:
        words = ["--detections", options.second, "--annotations", options.annotations]
    why = "See which errors cost B most, and what to do about them:"
    return step("eval", *words, "--report", why=why)


def _evaluate(options: argparse.Namespace) -> Evaluated:
    paths = (options.first, options.second)
    results = [path for path in paths if path.suffix.lower() == ".json"]
    if len(results) == 2:
        return _read_results(options)
    if results:
        raise ConfigError(
            f"{results[0]} holds detections and the other is a detector, which cannot be compared;"
            " write the detector's detections with ssdlite detect IMAGES --weights W --score 0.01"
            " --save coco --annotations FILE"
        )
    return _run_detectors(options)


def _read_results(options: argparse.Namespace) -> Evaluated:
    if not options.annotations:
        raise ConfigError("--annotations is missing: name the COCO instances file of the images")
    given = options.config or options.data or options.overrides
    if given or runtime_options_of(options) != RuntimeOptions():
        raise ConfigError(
            "--config, --data, key=value and the runtime options are for detectors, not for files"
            " of detections; leave them out"
        )
    first, targets, names = read_coco_results(options.annotations, options.first)
    second, _, _ = read_coco_results(options.annotations, options.second)
    photos = options.images and photos_in(options.images, options.annotations, targets)
    notes = [f"on {options.annotations}"]
    return Evaluated((first, second), targets, names, notes, photos)


def _run_detectors(options: argparse.Namespace) -> Evaluated:
    if options.annotations or options.images:
        raise ConfigError(
            "--annotations and --images are for files of detections; name the data with --data"
        )
    detectors, configs = [], []
    for path in (options.first, options.second):
        detector, config = open_detector(argparse.Namespace(**{**vars(options), "weights": path}))
        detectors.append(detector)
        configs.append(config)
    config = _choose_data(configs, (options.first, options.second))
    found = detect_with_both((detectors[0], detectors[1]), config)
    targets = found.dataset.targets
    notes = [f"on {describe_data(config)}"]
    for who, names in zip(LEFT_OUT, found.left_out, strict=True):
        if names:
            more = [f"{len(names) - MAX_NAMED} more"] if len(names) > MAX_NAMED else []
            notes.append(f"left out, {who}: {', '.join([*names[:MAX_NAMED], *more])}")
    return Evaluated(found.detections, targets, found.names, notes, photos_of(found.dataset))


def _choose_data(configs: Sequence[Config], paths: Sequence[Path]) -> Config:
    """Choose the configuration whose data both detectors run on.

    Raises:
        ConfigError: If they have different validation data.
    """
    known = [config for config in configs if config.data.val]
    # A split of a folder that a run recorded is preferred to one that would be chosen now.
    recorded = [config for config in known if getattr(config.data.val, "val_below", None)]
    known = recorded or known or [configs[0]]
    if any(config.data.val != known[0].data.val for config in known):
        described = " and ".join(describe_data(config) for config in known)
        raise ConfigError(
            f"{paths[0]} and {paths[1]} have different validation data, {described}; name the data"
            " to compare on, with --data FOLDER or data.val={...}"
        )
    return known[0]
