"""``ssdlite convert-data``."""

import argparse

from vision.formats.convert import convert_data

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Write a folder of labelled images in another format, and say what was lost."""
    for line in convert_data(options.data, options.to, options.out):
        print(line)
    print(f"train on it with\nssdlite train --data {options.out}")
    return 0
