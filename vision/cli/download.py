"""``ssdlite download``."""

import argparse

from vision.cli.terminal import CommandResult, Step
from vision.data.download import download, train_command


def run(options: argparse.Namespace) -> CommandResult:
    """Load a public data set, and say how to train on it."""
    is_new = download(options.name, options.root)
    what = "is complete" if is_new else "is complete already, nothing was loaded"
    print(f"{options.root}: {options.name} {what}")
    return CommandResult(steps=[Step(train_command(options.name, options.root), "Train on it:")])
