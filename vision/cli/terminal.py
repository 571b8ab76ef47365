"""The output of commands: colours, messages, next steps, and results as JSON."""

import argparse
import io
import json
import logging
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, NamedTuple, TextIO, cast

from vision.cli.printing import HarmlessStream, as_message

STYLES = {"error": "1;31", "warning": "33", "heading": "1", "command": "36"}
"""ANSI codes of the styles of text."""

MAX_STEPS = 3
"""Maximum number of next steps that are printed."""


class Step(NamedTuple):
    """A next step: a command to paste into a terminal, and a sentence that says what it is for."""

    command: str
    why: str = ""


def step(*words: object, why: str = "") -> Step:
    """A step that runs an ``ssdlite`` command, from the words of its command line."""
    return Step(shlex.join(["ssdlite", *map(str, words)]), why)


class CommandResult(NamedTuple):
    """The result of a command.

    Attributes:
        code: The exit code.
        values: The object that ``--json`` prints, for commands that have this option.
        steps: What to do next.
    """

    code: int = 0
    values: Mapping[str, Any] = {}
    steps: Sequence[Step] = ()


def has_colours(*, to_stderr: bool = False) -> bool:
    """Whether a stream is a terminal with colours, and ``NO_COLOR`` (no-color.org) is not set."""
    stream = sys.stderr if to_stderr else sys.stdout
    is_off = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not is_off and stream.isatty()


def paint(text: str, style: str, *, to_stderr: bool = False) -> str:
    """The text in one of `STYLES` if it goes to a terminal with colours, else as it is."""
    is_shown = has_colours(to_stderr=to_stderr)
    return f"\033[{STYLES[style]}m{text}\033[0m" if is_shown else text


def paint_lines(text: str) -> str:
    """Colour the words ``error`` and ``warning`` where lines begin with them and a colon."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        level = line.partition(":")[0]
        if level in {"error", "warning"}:
            lines[number] = paint(level, level) + line.removeprefix(level)
    return "\n".join(lines)


def paint_table(text: str) -> str:
    """Style the headings of tables: the first line, and each line after an empty one."""
    lines = text.split("\n")
    return "\n".join(
        paint(line, "heading") if line and (not number or not lines[number - 1]) else line
        for number, line in enumerate(lines)
    )


class Formatter(logging.Formatter):
    """Formats log records with `as_message`, and colours warnings."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        text = as_message(super().format(record))
        return paint(text, "warning") if record.levelno == logging.WARNING else text


@contextmanager
def output_of(options: argparse.Namespace) -> Iterator[None]:
    """Direct output and messages according to ``--quiet`` and ``--json``.

    With ``--quiet``, only warnings and errors are logged, and there are no progress bars. With
    ``--json``, printed lines go to standard error, so that standard output has only the result;
    with both, printed lines are dropped.
    """
    stdout, level = cast("TextIO", HarmlessStream(sys.stdout)), logging.root.manager.disable
    lines = stdout
    if getattr(options, "json", False):
        target = io.StringIO() if options.quiet else sys.stderr
        lines = cast("TextIO", HarmlessStream(target))
    if options.quiet:
        logging.disable(max(level, logging.INFO))
    is_silent = options.quiet and lines is not stdout
    handler = logging.StreamHandler(sys.stderr if is_silent else lines)
    handler.setFormatter(Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    try:
        with redirect_stdout(lines):
            yield
    finally:
        logging.disable(level)


def show_result(result: CommandResult, options: argparse.Namespace) -> None:
    """Print the result as JSON with ``--json``, else the next steps, unless ``--quiet`` is set."""
    if getattr(options, "json", False):
        steps = [step._asdict() for step in result.steps]
        print(json.dumps({**result.values, "next": steps}, indent=2, allow_nan=False, default=str))
        return
    if result.steps and not options.quiet:
        lines = [paint("next:", "heading")]
        for step in result.steps:
            lines += [f"  {step.why}"] if step.why else []
            lines.append(f"    {paint(step.command, 'command')}")
        print(*lines, sep="\n", file=cast("TextIO", HarmlessStream(sys.stdout)))
