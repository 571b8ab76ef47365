"""``ssdlite convert-data``."""

import argparse

from vision.cli.terminal import CommandResult, step
from vision.formats.convert import convert_data


def run(options: argparse.Namespace) -> CommandResult:
    """Write a folder of labelled images in another format, and print what was lost."""
    lines = convert_data(options.data, options.to, options.out)
    print("\n".join(lines))
    values = {"out": options.out, "lines": lines}
    return CommandResult(
        values=values, steps=[step("train", "--data", options.out, why="Train on it:")]
    )
