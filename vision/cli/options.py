"""Command lines in which options and trailing words may come in any order."""

import argparse
from collections.abc import Sequence

__all__ = ["parse"]


def parse(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    words: str,
    help_text: str,
    nargs: str = "*",
) -> argparse.Namespace:
    """Parse a command line whose words without a dash go to the attribute ``words``."""
    parser.add_argument(words, nargs=nargs, help=help_text)
    return parser.parse_intermixed_args(argv)
