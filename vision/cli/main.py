"""``ssdlite COMMAND ...``: find the command, run it, turn errors into messages and exit codes."""

import argparse
import io
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module

import vision
from vision.cli.commands import COMMANDS, parse
from vision.cli.completion import complete
from vision.cli.elsewhere import COMMANDS as ELSEWHERE
from vision.cli.failures import (
    BUG,
    CLOSED_PIPE,
    explain_failure,
    flush_streams,
    open_missing_streams,
)
from vision.cli.parser import Parser
from vision.cli.printing import as_message
from vision.cli.signals import raised_signals
from vision.cli.terminal import CommandResult, output_of, paint, show_result
from vision.errors import Interrupted, Signalled, did_you_mean

ASKED = "_ARGCOMPLETE"
"""The environment variable that a shell sets to ask for completions."""
INTERRUPTED = 130
SIGNALLED = 128


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``ssdlite COMMAND ...`` and return its exit code."""
    if ASKED in os.environ:
        complete()
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    commands = "".join(f"\n  {name:12} {command.summary}" for name, command in COMMANDS.items())
    parser = Parser(
        "ssdlite",
        "SSDLite object detection: train, evaluate, detect, export.",
        f"commands:{commands}\n\nssdlite COMMAND --help shows a command's options and an example.",
    )
    parser.add_argument("command", nargs="?", metavar="COMMAND", help="one of the commands below")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    options = parser.parse_args(words[:1])
    if options.version:
        print(f"ssdlite {vision.__version__}")
        return 0
    if options.command is None:
        parser.error("a command is missing, such as detect")
    if options.command not in COMMANDS:
        suggestion = did_you_mean(ELSEWHERE.get(options.command, options.command), COMMANDS)
        parser.error(f"there is no command {options.command}{suggestion}")
    return run_command(options.command, words[1:])


def run_command(command: str, argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    PyTorch and other packages are imported only after the options are parsed.

    Returns:
        The code that the command returns; 2 for a user's error; 130 for Ctrl-C; 143 for SIGTERM;
        129 for SIGHUP; 70 for a bug; 141 if the reader of the output has closed the pipe.
    """
    open_missing_streams()
    logging.raiseExceptions = False  # a log line that cannot be written must not end a training
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for file names that are not UTF-8
    options = parse(command, argv)
    try:
        code = _run(command, options)
        flush_streams()
        return code  # noqa: TRY300 - errors of flush_streams are caught below
    except KeyboardInterrupt as interruption:
        is_saved = isinstance(interruption, Interrupted)
        saved = ", all is saved: the same command with --resume continues" if is_saved else ""
        code = INTERRUPTED
        if isinstance(interruption, Signalled):
            code = SIGNALLED + interruption.number
        return _fail(command, f"interrupted{saved}", code)
    except Exception as error:  # noqa: BLE001
        return _fail_by(command, error)


def _run(command: str, options: argparse.Namespace) -> int:
    run: Callable[[argparse.Namespace], CommandResult] = import_module(
        f"vision.cli.{command.replace('-', '_')}"
    ).run
    from tqdm.contrib.logging import logging_redirect_tqdm  # noqa: PLC0415

    with output_of(options), logging_redirect_tqdm(), raised_signals():
        result = run(options)
    show_result(result, options)
    return result.code


def _fail(command: str, message: str, code: int) -> int:
    with suppress(OSError):
        text = as_message(f"ssdlite {command}: {message}")
        if message.startswith("error: "):
            text = text.replace("error:", paint("error:", "error", to_stderr=True), 1)
        print(text, file=sys.stderr)
    with suppress(OSError):
        flush_streams()
    return code


def _fail_by(command: str, error: Exception) -> int:
    explained = explain_failure(error)
    if explained is None:
        traceback.print_exception(error)
        text = "this is a bug in ssdlite or in a package that it uses; please report the text above"
        return _fail(command, text, BUG)
    message, code = explained
    if code == CLOSED_PIPE:
        with suppress(OSError):
            flush_streams()
        return code
    return _fail(command, f"error: {message}", code)
