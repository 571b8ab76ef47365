"""``ssdlite export``."""

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vision.choices import CALIBRATED, WEB
from vision.cli.options import claimed, data_of, read_images
from vision.cli.terminal import CommandResult, Step, step
from vision.config import Config, DataSources
from vision.data import sample_images
from vision.detector import Detector
from vision.engine import evaluate_detector
from vision.errors import ConfigError
from vision.export import (
    DEFAULT_IMAGES,
    NUM_CALIBRATED,
    NUM_COMPARED,
    ExportSpec,
    default_images,
    export_detector,
)
from vision.export.web import PAGE, add_runtime, page_spec, write_page
from vision.export.write import Images
from vision.model import build_post_process
from vision.runtime import FORMS
from vision.weights import SavedDetector, find_weights, load_weights

MIN_ADVISED = 50
"""Minimum number of images that a comparison should have; below it, a line says so."""
LARGE_LOSS = 0.005
"""Loss of voc.mAP50 by quantisation above which a line gives advice."""


def run(options: argparse.Namespace) -> CommandResult:
    """Export, compare with PyTorch on images, and print the agreement."""
    options.weights = find_weights(options.weights)
    if options.to == WEB:
        return _export_page(options)
    spec = ExportSpec(options.to, options.form or "decoded", options.precision)
    path = spec.file(options.out, options.weights.stem)
    with claimed([path], overwrite=options.overwrite):
        return _export(options, spec, path)


def _export_page(options: argparse.Namespace) -> CommandResult:
    spec = page_spec(options.form, options.precision)
    path = spec.file(options.out, options.weights.stem)
    with claimed([path, options.out / PAGE], overwrite=options.overwrite):
        add_runtime(options.out)
        _export(options, spec, path)
        print(f"{write_page(path)}: the page; any web server can serve its folder")
    words = ("python", "-m", "http.server", "-b", "localhost", "-d", str(options.out))
    return CommandResult(steps=[Step(shlex.join(words), "Open it at http://localhost:8000:")])


def _export(options: argparse.Namespace, spec: ExportSpec, path: Path) -> CommandResult:
    saved = load_weights(options.weights)
    config = data_of(options, saved.config)
    saved = replace(saved, config=saved.config.model_copy(update={"model": config.model}))
    images, data, size = options.images, config.data, saved.model.image_size
    calibration: Images = []
    if spec.precision in CALIBRATED:
        calibration = _images(images, data.train, "data.train", size, NUM_CALIBRATED)
    if images is None and data.val is None:
        print(
            f"no data are named: compared on {DEFAULT_IMAGES}; --images FOLDER compares on your own"
        )
        compared: Images = default_images(NUM_COMPARED, size)
    else:
        compared = _images(images, data.val, "data.val", size, NUM_COMPARED)
    written = export_detector(saved, spec, path, compared, calibration)
    print(f"{written.path}: {spec.form}, {FORMS[spec.form]}")
    print(f"against PyTorch: {written.agreement}")
    if written.rounding is not None:
        print(f"what rounding to float16 changes: {written.rounding}")
    if len(compared) < MIN_ADVISED:
        print(f"compared on {len(compared)} images only; {MIN_ADVISED} or more are recommended")
    if spec.precision.startswith("int8"):
        _evaluate_int8(saved, spec, written.path, config)
    if spec.form == "decoded":
        use = step("detect", "photos/", "--weights", written.path, why="See what it finds:")
    else:
        use = step("benchmark", "--weights", options.weights, why="See how fast it is:")
    return CommandResult(steps=[use])


def _images(
    inputs: Sequence[str] | None,
    sources: DataSources | None,
    key: str,
    size: tuple[int, int],
    count: int,
) -> Images:
    """Read at most ``count`` images of ``--images``, else of the sources, evenly spread over them.

    Raises:
        ConfigError: If there are neither inputs nor sources.
    """
    if inputs is None and sources is None:
        raise ConfigError(
            f"there are no images to calibrate on: pass --images FOLDER, or name {key}, such as"
            f" '{key}={{format: voc, root: VOC2007, split: train}}'"
        )
    return (
        sample_images(sources, key, count, size)
        if inputs is None
        else read_images(inputs, count, size)
    )


def _evaluate_int8(saved: SavedDetector, spec: ExportSpec, path: Path, config: Config) -> None:
    """Print the average precision before and after quantisation."""
    if config.data.val is None or spec.form != "decoded":
        print(f"{spec.precision} was not evaluated: that needs data.val and --form decoded")
        return
    post_process = build_post_process(saved.config.model)
    original = Detector.from_model(saved.model, post_process, saved.names)
    values = []
    for name, detector in (("fp32", original), (spec.precision, Detector.load(path))):
        metrics = evaluate_detector(detector, config).metrics
        values.append(metrics.voc.mean or 0.0)
        print(f"{name}: voc.mAP50 {values[-1]:.4f}, coco.AP {metrics.coco.AP or 0.0:.4f}")
    loss = values[0] - values[1]
    if loss > LARGE_LOSS:
        print(
            f"{spec.precision} loses {100 * loss:.1f} points of voc.mAP50; try other images to"
            " calibrate on, or export fp32 and run it with --precision bf16 if the hardware"
            " supports bf16"
        )
