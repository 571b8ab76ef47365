"""``ssdlite average``."""

import argparse
import logging

from vision.cli.options import check_output_path, write_detector
from vision.cli.terminal import CommandResult, step
from vision.weights import average

logger = logging.getLogger(__name__)


def run(options: argparse.Namespace) -> CommandResult:
    """Write the mean of several weights files."""
    check_output_path(options.out, overwrite=options.overwrite)
    if options.shares is not None:
        logger.warning("--shares is now --fractions")
    saved = average(options.weights, options.fractions or options.shares)
    write_detector(saved, options)
    print(f"{options.out}: {saved.training['mean']}")
    steps = [
        step("eval", "--weights", options.out, "--data", "MINE", why="Measure how good it is:")
    ]
    return CommandResult(steps=steps)
