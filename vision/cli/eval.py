"""``ssdlite eval --weights W [--config F] [key=value ...] [--out DIR]``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vision.cli.options import (
    WEIGHTS_HELP,
    add_data,
    add_engine,
    data_of,
    parse,
    runtime_options_of,
)
from vision.detector import Detector
from vision.engine import evaluate_detector, write_json
from vision.errors import ConfigError
from vision.metrics import Metrics, evaluate_detections, read_coco_results
from vision.runtime import RuntimeOptions, open_session

__all__ = ["run"]


def run(argv: Sequence[str] | None = None) -> int:
    """Evaluate, print the table and write ``metrics.json`` where wanted."""
    parser = argparse.ArgumentParser(
        prog="ssdlite eval", description="COCO AP and AR, and VOC AP, of weights or detections."
    )
    parser.add_argument("--weights", type=Path, metavar="W", help=WEIGHTS_HELP)
    add_data(parser)
    parser.add_argument(
        "--detections", type=Path, metavar="J", help="detections in COCO's result format instead"
    )
    parser.add_argument(
        "--annotations", type=Path, metavar="J", help="with --detections: COCO's instances file"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write metrics.json there")
    add_engine(parser)
    options = parse(parser, argv, "overrides", "key=value, such as data.val.split=test")
    metrics = _evaluate(options)
    print(metrics.table())
    if options.out is not None:
        write_json(options.out / "metrics.json", metrics.to_dict())
        print(f"metrics are in {options.out / 'metrics.json'}")
    return 0


def _evaluate(options: argparse.Namespace) -> Metrics:
    files = (options.annotations, options.detections)
    if options.weights is not None and not any(files):
        session, metadata = open_session(options.weights, runtime_options_of(options))
        config = data_of(options, metadata.config)
        return evaluate_detector(Detector(session, config, metadata.names), config)
    if options.weights is None and all(files):
        if (
            options.config is not None
            or options.overrides
            or runtime_options_of(options) != RuntimeOptions()
        ):
            raise ConfigError(
                "--config, key=value and what the detector runs on go with --weights, not with"
                " --detections"
            )
        detections, targets, names = read_coco_results(*files)
        return evaluate_detections(detections, targets, names)
    raise ConfigError("give either --weights, or both --detections and --annotations")
