"""``ssdlite export``."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jaxtyping import UInt8
from numpy import ndarray

from vision.cli.options import check_output_path, data_of
from vision.config import Config, DataSource
from vision.data import sample_images
from vision.engine import evaluate_runnable
from vision.export import NUM_CALIBRATED, NUM_COMPARED, ExportSpec, export
from vision.images import read_image, resize
from vision.media import find_inputs
from vision.runtime import FORMS, load_runnable, run_saved
from vision.weights import SavedDetector, find_weights, load_weights

__all__ = ["run"]

ADVISED = 50
"""Images that a comparison should have."""
LARGE_LOSS = 0.005
"""Of voc.mAP50, from which on int8 is warned of."""


def run(options: argparse.Namespace) -> int:
    """Export, compare with PyTorch on images, and say what came out."""
    options.weights = find_weights(options.weights)
    request = ExportSpec(options.to, options.form, options.precision)
    path = request.file(options.out, options.weights.stem)
    check_output_path(path, overwrite=options.overwrite)
    saved = load_weights(options.weights)
    config = data_of(options, saved.config)
    saved = replace(saved, config=saved.config.model_copy(update={"model": config.model}))
    compared = _images(options.images, config.data.val, "data.val", saved, NUM_COMPARED)
    calibrated = []
    if request.precision == "int8":
        sources = config.data.train
        calibrated = _images(options.images, sources, "data.train", saved, NUM_CALIBRATED)
    written = export(saved, request, path, compared, calibrated)
    print(f"{written.path}: {request.form}, {FORMS[request.form]}")
    print(f"against PyTorch: {written.agreement}")
    if written.rounding is not None:
        print(f"what rounding to float16 changes: {written.rounding}")
    if len(compared) < ADVISED:
        print(f"compared on {len(compared)} images only; {ADVISED} or more are advised")
    if request.precision == "int8":
        if options.images is None and request.form == "decoded":
            _judge(saved, written.path, config)
        else:
            print(
                "int8 not judged by its average precision: that takes data.val and the form decoded"
            )
    return 0


def _images(
    inputs: Sequence[str] | None,
    sources: DataSource | None,
    key: str,
    saved: SavedDetector,
    count: int,
) -> list[UInt8[ndarray, "H W 3"]]:
    """Images at the network's size, from files or from data."""
    size = saved.model.image_size
    if inputs is None:
        return sample_images(sources, f"{key} (or --images)", count, size)
    found = [source.path for source in find_inputs(inputs) if source.kind == "image"]
    return [resize(read_image(path), size) for path in found[:count]]


def _judge(saved: SavedDetector, path: Path, config: Config) -> None:
    """Say what quantisation costs."""
    values = []
    for name, runnable in (("fp32", run_saved(saved)), ("int8", load_runnable(path))):
        metrics = evaluate_runnable(runnable, config)
        values.append(metrics.voc.mean or 0.0)
        ap = metrics.coco.AP or 0.0
        print(f"{name}: voc.mAP50 {values[-1]:.4f}, coco.AP {ap:.4f}")
    loss = values[0] - values[1]
    if loss > LARGE_LOSS:
        print(
            f"int8 costs {100 * loss:.1f} points of voc.mAP50; other images to calibrate on may"
            " help, or take precision bf16 where the hardware has it"
        )
