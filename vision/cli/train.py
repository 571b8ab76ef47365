"""``ssdlite train --config F [key=value ...] [--out DIR] [--resume]``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vision.cli.options import parse
from vision.config import load_config
from vision.engine import is_first_process, train

__all__ = ["run"]


def run(argv: Sequence[str] | None = None) -> int:
    """Train, and say how good the best weights are."""
    parser = argparse.ArgumentParser(prog="ssdlite train", description="Train a detector.")
    parser.add_argument(
        "--config", required=True, metavar="F", help="a YAML file, or a shipped one by name"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="run folder (default: runs/NAME-OF-THE-CONFIG)"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on after the last step in the run folder"
    )
    options = parse(parser, argv, "overrides", "key=value, such as train.epochs=50")
    config = load_config(options.config, options.overrides)
    out = options.out or Path("runs") / Path(options.config).stem
    metrics = train(config, out, resume=options.resume)
    if not is_first_process():
        return 0
    if metrics is not None:
        print(metrics.table())
    print(f"weights, log and pictures are in {out}")
    return 0
