"""``ssdlite average W W... --out W.safetensors [--shares S S...] [--half] [--note KEY=VALUE]``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vision.cli.options import claim
from vision.errors import WeightsError
from vision.model.weights import average, halve, save_weights

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
    parser.add_argument("--half", action="store_true", help="write in half precision")
    parser.add_argument(
        "--note",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="kept in the file",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="W.safetensors")
    options = parser.parse_args(argv)
    notes = [note.partition("=") for note in options.note]
    if not all(key and sign for key, sign, _ in notes):
        raise WeightsError("--note takes KEY=VALUE")
    claim(options.out)
    saved = average(options.weights, options.shares)
    for key, _, value in notes:
        if key in {*saved.training, "metrics", "norms"}:
            raise WeightsError(f"--note {key}: the file says that itself; choose another key")
        saved.training[key] = value
    model = halve(saved.model) if options.half else saved.model
    save_weights(options.out, model, saved.config, saved.names, saved.training)
    print(f"{options.out}: {saved.training['mean']}")
    return 0
