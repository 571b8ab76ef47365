"""``ssdlite export W --to BACKEND [--form F] [--precision P] [--out DIR]``."""

import argparse
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vision.cli.options import WEIGHTS_HELP, add_data, data_of, parse
from vision.config import Config, DataSource
from vision.data import sample_images
from vision.detector import Detector
from vision.engine import evaluate_detector
from vision.errors import ConfigError, WeightsError
from vision.export import (
    NUM_CALIBRATED,
    NUM_COMPARED,
    STAND_INS,
    ExportSpec,
    export_detector,
    stand_in_images,
)
from vision.export.write import Images
from vision.images import read_image, resize
from vision.media import find_inputs
from vision.runtime import FORMS, graph_backends
from vision.weights import SavedDetector, find_weights, load_weights

__all__ = ["run"]

ADVISED = 50
"""Number of images that a comparison should have."""
LARGE_LOSS = 0.005
"""Loss of voc.mAP50 from which on int8 is warned of."""


def run(argv: Sequence[str] | None = None) -> int:
    """Export, compare with PyTorch on real images, and say what came out."""
    options = _parse(argv)
    options.weights = find_weights(options.weights)
    spec = ExportSpec(options.to, options.form, options.precision)
    path = spec.file(options.out, options.weights.stem)
    if path.exists() and not options.overwrite:
        raise WeightsError(f"{path} exists; name another --out, or pass --overwrite")
    saved = load_weights(options.weights)
    config = data_of(options, saved.config)
    saved = replace(saved, config=saved.config.model_copy(update={"model": config.model}))
    images, data = options.images, config.data
    calibrated: Images = []
    if spec.precision == "int8":
        calibrated = _images(images, data.train, "data.train", saved, NUM_CALIBRATED)
    if images is None and data.val is None:
        print(f"no data are named: compared on {STAND_INS}; --images FOLDER compares on your own")
        compared: Images = stand_in_images(NUM_COMPARED, saved.model.image_size)
    else:
        compared = _images(images, data.val, "data.val", saved, NUM_COMPARED)
    written = export_detector(saved, spec, path, compared, calibrated)
    print(f"{written.path}: {spec.form}, {FORMS[spec.form]}")
    print(f"against PyTorch: {written.agreement}")
    if written.rounding is not None:
        print(f"what rounding to float16 changes: {written.rounding}")
    if len(compared) < ADVISED:
        print(f"compared on {len(compared)} images only; {ADVISED} or more are advised")
    if spec.precision == "int8":
        _evaluate_int8(saved, spec, written.path, config)
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ssdlite export",
        description="A detector as a graph for other runtimes, compared with PyTorch on images.",
    )
    parser.add_argument("weights", type=Path, metavar="W", help=WEIGHTS_HELP)
    parser.add_argument("--to", required=True, choices=tuple(graph_backends()))
    forms = "; ".join(f"{name}: {what}" for name, what in FORMS.items())
    parser.add_argument("--form", choices=FORMS, default="decoded", help=forms)
    precisions = dict.fromkeys(p for one in graph_backends().values() for p in one.file_precisions)
    parser.add_argument("--precision", choices=tuple(precisions), default="fp32")
    parser.add_argument("--out", type=Path, default=Path("exported"), metavar="DIR")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    parser.add_argument(
        "--images",
        nargs="+",
        metavar="INPUT",
        help="images, folders or globs to compare and calibrate on, without annotations"
        " (default: data.val to compare on, if it is known, else a few that come with the package;"
        " data.train to calibrate int8 on)",
    )
    add_data(parser)
    return parse(parser, argv, "overrides", "key=value, such as data.val.root=VOC2007")


def _images(
    inputs: Sequence[str] | None,
    sources: DataSource | None,
    key: str,
    saved: SavedDetector,
    count: int,
) -> Images:
    """Images at the network's size, of files drawn from all inputs by ``train.seed`` or of data.

    Raises:
        ConfigError: If there are neither.
    """
    size = saved.model.image_size
    if inputs is None and sources is None:
        raise ConfigError(
            f"images like those to come are missing: pass --images FOLDER, or name {key}, such as"
            f" '{key}={{format: voc, root: VOC2007, split: train}}'"
        )
    if inputs is None:
        return sample_images(sources, key, count, size)
    paths = [source.path for source in find_inputs(inputs) if source.kind == "image"]
    if len(paths) > count:
        paths = sorted(random.Random(saved.config.train.seed).sample(paths, count))  # noqa: S311
    return [resize(read_image(path), size) for path in paths]


def _evaluate_int8(saved: SavedDetector, spec: ExportSpec, path: Path, config: Config) -> None:
    """Print the cost of quantisation."""
    if config.data.val is None or spec.form != "decoded":
        print("int8 was not evaluated: that takes data.val and the form decoded")
        return
    values = []
    for name, detector in (
        ("fp32", Detector.from_model(saved.model, saved.config, saved.names)),
        ("int8", Detector.load(path)),
    ):
        metrics = evaluate_detector(detector, config)
        values.append(metrics.voc.mean or 0.0)
        print(f"{name}: voc.mAP50 {values[-1]:.4f}, coco.AP {metrics.coco.AP or 0.0:.4f}")
    loss = values[0] - values[1]
    if loss > LARGE_LOSS:
        print(
            f"int8 costs {100 * loss:.1f} points of voc.mAP50; other images to calibrate on may"
            " help, or take precision bf16 where the hardware has it"
        )
