"""``ssdlite download``."""

import argparse

from vision.data.download import download, train_command

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Load a public data set, and say how to train on it."""
    is_new = download(options.name, options.root)
    what = "is complete" if is_new else "is complete already, nothing was loaded"
    print(f"{options.root}: {options.name} {what}; train on it with")
    print(train_command(options.name, options.root))
    return 0
