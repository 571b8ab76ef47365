"""A command line whose help shows every default and whose errors suggest what was meant."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from vision.cli.elsewhere import NOTES, our_option
from vision.errors import did_you_mean

_OVERRIDE = re.compile(r"[\w.\s-]*=")
_MISSING = "the following arguments are required: "
_UNKNOWN = "unrecognized arguments: "
MIN_SIMILARITY = 0.81
"""Minimum similarity of a suggested option; --source and --score have 0.8."""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Add the default value to the help of each option that has one, unless the help states it."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        has_default = action.option_strings and action.default not in (None, False)
        is_shown = not has_default or action.default == argparse.SUPPRESS or "(default" in text
        return text if is_shown else f"{text} (default: %(default)s)"


class Parser(argparse.ArgumentParser):
    """The parser of one command.

    Args:
        prog: What the user types, such as ``ssdlite train``.
        description: What the command does, in a sentence.
        epilog: The lines that the help shows below the options.
    """

    def __init__(self, prog: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=_Formatter,
            allow_abbrev=False,  # else --conf would be --config
        )
        self._words: list[str] = []

    def parse(self, words: Sequence[str] | None) -> argparse.Namespace:
        """Parse the words; options may stand before, between and after the other words.

        ``ssdlite export W`` is accepted for ``ssdlite export --weights W``.
        """
        self._words = list(sys.argv[1:] if words is None else words)
        options = self.parse_intermixed_args(words)
        options.words = self._words
        if not (hasattr(options, "weights") and hasattr(options, "overrides")):
            return options
        bare = [word for word in options.overrides if not _OVERRIDE.match(word)]
        # Compared by identity, because the user may have given the default, `--weights coco`.
        is_given = options.weights is not self.get_default("weights")
        if bare[1:] or (bare and is_given):
            self.error(f"{bare[-1]}: expected one --weights, and words of the form key=value")
        if bare:
            options.weights = Path(bare[0])
            options.overrides.remove(bare[0])
        return options

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error with a suggestion, and exit with 2."""
        unknown_options = [word for word in self._words if self._is_unknown(word)]
        if message.startswith(_MISSING) and unknown_options:
            # The missing argument was given by another name, such as --format onnx for --to.
            message = _UNKNOWN + unknown_options[0]
        elif message.startswith(_MISSING):
            message = _MISSING + ", ".join(self._missing(message.removeprefix(_MISSING)))
        if message.startswith(_UNKNOWN):
            words = message.removeprefix(_UNKNOWN).split()
            unknown = next((word for word in words if word.startswith("-")), words[0])
            message = f"there is no option {unknown.partition('=')[0]}{self._suggest(unknown)}"
        super().error(message)

    def _missing(self, names: str) -> list[str]:
        """The required arguments among the missing ``names``; all of them if nothing was typed."""
        required = {
            "/".join(action.option_strings) or str(action.metavar or action.dest): None
            for action in self._actions
            if action.required
        }
        return [name for name in required if not self._words or name in names.split(", ")]

    def _is_unknown(self, word: str) -> bool:
        name = word.partition("=")[0]
        return name.startswith("--") and name not in {"--", *self._option_string_actions}

    def _suggest(self, unknown: str) -> str:
        """The end of a message: our option of the same meaning, a note, or a similar spelling."""
        name, sign, value = unknown.partition("=")
        if not sign and name in self._words:
            value = "".join(self._words[self._words.index(name) + 1 :][:1])
        ours = our_option(name, "" if value.startswith("-") else value, self)
        if ours:
            return f"; did you mean {ours}?"
        if note := NOTES.get(name.replace("_", "-")):
            return f": {note}"
        options = [option for option in self._option_string_actions if option.startswith("--")]
        return did_you_mean(name, options, cutoff=MIN_SIMILARITY)


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        summary: What it does, in lower case and without a full stop.
        example: Words that follow ``ssdlite``.
        add_arguments: Adds its arguments to a parser.
        has_json: Whether it has the option ``--json``.
    """

    summary: str
    example: str
    add_arguments: Callable[[Parser], None]
    has_json: bool = False

    def add_all_arguments(self, parser: Parser) -> None:
        """Add the command's own arguments, and those that all commands have."""
        self.add_arguments(parser)
        group = parser.add_argument_group("output")
        text = "print the result, warnings and errors only"
        group.add_argument("-q", "--quiet", action="store_true", help=text)
        if self.has_json:
            text = "print the result as one JSON object; everything else goes to standard error"
            group.add_argument("--json", action="store_true", help=text)
