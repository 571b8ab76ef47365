"""``ssdlite average W W... --out W.safetensors [--shares S S...] [--half] [--note KEY=VALUE]``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vision.cli.options import add_output, claim, write_detector
from vision.weights import average

__all__ = ["run"]


def run(argv: Sequence[str] | None = None) -> int:
    """Take the mean of weights and write it."""
    parser = argparse.ArgumentParser(
        prog="ssdlite average",
        description="The mean of several weights files of one network: of the ends of trainings, or"
        " of a fine-tuning's end and what it began from.",
    )
    parser.add_argument(
        "weights", nargs="+", type=Path, metavar="W", help="the first's classes count"
    )
    parser.add_argument("--shares", nargs="+", type=float, metavar="S", help="1 in all")
    add_output(parser)
    options = parser.parse_args(argv)
    claim(options.out)
    saved = average(options.weights, options.shares)
    write_detector(saved, options)
    print(f"{options.out}: {saved.training['mean']}")
    return 0
