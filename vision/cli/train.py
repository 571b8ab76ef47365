"""``ssdlite train``."""

import argparse
from pathlib import Path

from vision.config import load_config
from vision.engine import is_first_process, train

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Train, and say how good the best weights are."""
    config = load_config(options.config, options.overrides)
    out = options.out or Path("runs") / Path(options.config).stem
    metrics = train(config, out, resume=options.resume)
    if not is_first_process():
        return 0
    if metrics is not None:
        print(metrics.table())
    print(f"weights, log and pictures are in {out}")
    return 0
