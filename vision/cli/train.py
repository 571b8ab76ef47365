"""``ssdlite train``."""

import argparse
from pathlib import Path

from vision.config import load_config, name_data
from vision.engine import is_first_process, train
from vision.report import REPORT, write_run_report


def run(options: argparse.Namespace) -> int:
    """Train, and print the metrics of the best weights."""
    config = load_config(options.config, [*name_data(options.data), *options.overrides])
    out = options.out or Path("runs") / Path(options.config).stem
    metrics = train(config, out, resume=options.resume, write_report=write_run_report)
    if not is_first_process():
        return 0
    if metrics is not None:
        print(metrics.table())
    print(f"weights, log and pictures are in {out}")
    if metrics is not None:
        print(f"the report is {out / REPORT}")
    return 0
