"""What commands write to a terminal: colours, what to do next, and results as JSON."""

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
"""ANSI codes of highlighted text."""

MAX_STEPS = 3
"""Maximum number of next steps that are printed."""


class Step(NamedTuple):
    """Something to do next: a command to paste into a terminal, and what it brings."""

    command: str
    why: str = ""


def step(*words: object, why: str = "") -> Step:
    """The step of a command of ours, by its words."""
    return Step(shlex.join(["ssdlite", *map(str, words)]), why)


class CommandResult(NamedTuple):
    """How a command has ended.

    Attributes:
        code: The exit code.
        values: What ``--json`` prints, for commands that have it.
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
    """Text in one of `STYLES`, where it goes to a terminal with colours."""
    is_shown = has_colours(to_stderr=to_stderr)
    return f"\033[{STYLES[style]}m{text}\033[0m" if is_shown else text


def paint_lines(text: str) -> str:
    """A text in which the level that a line begins with, ``error`` or ``warning``, is set off."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        level = line.partition(":")[0]
        if level in {"error", "warning"}:
            lines[number] = paint(level, level) + line.removeprefix(level)
    return "\n".join(lines)


def paint_table(text: str) -> str:
    """A table with its headings set off: first lines, and those after an empty one."""
    lines = text.split("\n")
    return "\n".join(
        paint(line, "heading") if line and (not number or not lines[number - 1]) else line
        for number, line in enumerate(lines)
    )


class Formatter(logging.Formatter):
    """Messages as `as_message` has them; warnings are set off."""

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record."""
        text = as_message(super().format(record))
        return paint(text, "warning") if record.levelno == logging.WARNING else text


@contextmanager
def output_of(options: argparse.Namespace) -> Iterator[None]:
    """Send output and messages where ``--quiet`` and ``--json`` say.

    With ``--quiet`` messages are warnings and errors only, and bars are left out. With ``--json``
    lines go to standard error, with both nowhere, so that standard output has the result alone.
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
    """Print the result as JSON if asked to, else what to do next."""
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
