"""``ssdlite COMMAND ...``: find the command, run it, turn errors into lines and exit codes."""

import argparse
import io
import logging
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from tqdm.contrib.logging import logging_redirect_tqdm

from vision.errors import Interrupted, VisionError

__all__ = ["COMMANDS", "main", "run_command"]

COMMANDS = {
    "train": "train a detector on VOC, COCO or drawn data",
    "eval": "evaluate a detector, or detections of any other",
    "detect": "find objects in images and videos",
    "export": "write a detector as a graph for other runtimes, and prove it",
    "benchmark": "measure speed, memory and precision on each backend",
    "convert": "turn another project's weights into ours",
    "average": "take the mean of several weights files",
    "info": "say what a weights file holds",
}
USER_ERROR = 2
INTERRUPTED = 130
SIGNALLED = 128


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``ssdlite COMMAND ...`` and give its exit code."""
    parser = argparse.ArgumentParser(prog="ssdlite", description=__doc__)
    parser.add_argument(
        "command", choices=COMMANDS, help="; ".join(f"{k}: {v}" for k, v in COMMANDS.items())
    )
    given = list(sys.argv[1:] if argv is None else argv)
    command = parser.parse_args(given[:1]).command
    return run_command(command, given[1:])


def run_command(command: str, argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code.

    0; 2 for a user's error; 130 for Ctrl-C; 143 for SIGTERM.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names that are not UTF-8
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stdout, force=True)
    run: Callable[[Sequence[str] | None], int] = import_module(f"vision.cli.{command}").run
    try:
        with logging_redirect_tqdm():
            return run(argv)
    except VisionError as error:
        print(f"ssdlite {command}: error: {error}", file=sys.stderr)
        return USER_ERROR
    except Interrupted as signal:
        print(f"ssdlite {command}: interrupted, all is saved", file=sys.stderr)
        return SIGNALLED + signal.number
    except KeyboardInterrupt:
        print(f"ssdlite {command}: interrupted", file=sys.stderr)
        return INTERRUPTED
