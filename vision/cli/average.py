"""``ssdlite average``."""

import argparse

from vision.cli.options import check_output_path, write_detector
from vision.weights import average


def run(options: argparse.Namespace) -> int:
    """Write the mean of several weights files."""
    check_output_path(options.out, overwrite=options.overwrite)
    saved = average(options.weights, options.fractions)
    write_detector(saved, options)
    print(f"{options.out}: {saved.training['mean']}")
    return 0
