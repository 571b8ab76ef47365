"""``ssdlite download``."""

import argparse

from vision.cli.terminal import CommandResult, Step
from vision.data.download import download, train_command


def run(options: argparse.Namespace) -> CommandResult:
    """Download a public data set, and print the command that trains on it."""
    is_new = download(options.name, options.root)
    what = "is complete" if is_new else "is complete already, nothing was downloaded"
    print(f"{options.root}: {options.name} {what}")
    return CommandResult(steps=[Step(train_command(options.name, options.root), "Train on it:")])
