"""``ssdlite eval``."""

import argparse

from vision.choices import SHIPPED_WEIGHTS
from vision.cli.options import check_output_path, data_of, runtime_options_of
from vision.detector import Detector
from vision.engine import evaluate_detector, write_json
from vision.errors import ConfigError
from vision.metrics import Metrics, evaluate_detections, read_coco_results
from vision.model import build_post_process
from vision.runtime import RuntimeOptions, open_session


def run(options: argparse.Namespace) -> int:
    """Evaluate, print the table and write ``metrics.json`` if ``--out`` is given."""
    file = options.out and options.out / "metrics.json"
    if file:
        check_output_path(file, overwrite=options.overwrite)
    if options.detections or options.annotations:
        metrics = _evaluate_detections(options)
    else:
        options.weights = options.weights or SHIPPED_WEIGHTS[0]
        session, metadata = open_session(options.weights, runtime_options_of(options))
        config = data_of(options, metadata.config)
        detector = Detector(session, build_post_process(config.model), metadata.names)
        metrics = evaluate_detector(detector, config, engine=options.engine)
    print(metrics.table())
    if file:
        write_json(file, metrics.to_dict())
        print(f"metrics are in {file}")
    return 0


def _evaluate_detections(options: argparse.Namespace) -> Metrics:
    if options.weights or not (options.detections and options.annotations):
        raise ConfigError("give either --weights, or both --detections and --annotations")
    given = options.config or options.data or options.overrides
    if given or runtime_options_of(options) != RuntimeOptions():
        raise ConfigError(
            "--config, --data, key=value and the options of the runtime go with --weights, not with"
            " --detections"
        )
    found, targets, names = read_coco_results(options.annotations, options.detections)
    return evaluate_detections(found, targets, names, engine=options.engine)
