"""Errors that a user can resolve: a command prints each as one line and exits with 2."""

import difflib
import re
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DataError",
    "Interrupted",
    "Signalled",
    "TrainingError",
    "VisionError",
    "WeightsError",
    "did_you_mean",
    "escape_controls",
    "first_line",
    "listed",
]

_CONTROLS = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]")
"""Control characters, line breaks, and characters that change the direction of a text."""

MAX_LINE = 1500
"""Maximum length of a line of a message, in characters."""
MAX_LISTED = 20
"""Maximum number of names that a message lists."""


def _shorten(line: str) -> str:
    """Remove the middle of a long line: its start names the place, and its end the remedy."""
    half = MAX_LINE // 2 - 3
    return line if len(line) <= MAX_LINE else f"{line[:half]} ... {line[-half:]}"


class VisionError(ValueError):
    """Base class; a message names the place, what was expected and found, and the remedy.

    Messages quote the contents of files, so control characters are escaped, and so are line breaks
    unless the class allows several lines. A line longer than `MAX_LINE` loses its middle.
    """

    _kept = ""

    def __init__(self, message: object = "") -> None:
        lines = escape_controls(str(message), keep=self._kept).split("\n")
        super().__init__("\n".join(map(_shorten, lines)))


class ConfigError(VisionError):
    """An invalid configuration, with a line for each fault, or an invalid command line."""

    _kept = "\n"


class DataError(VisionError):
    """Images or annotations that cannot be used."""


class WeightsError(VisionError):
    """A weights file that cannot be used."""


class TrainingError(VisionError):
    """A training run that cannot continue."""


class Signalled(KeyboardInterrupt):
    """SIGTERM or SIGHUP, which end a command as Ctrl-C does; ``number`` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Interrupted(Signalled):
    """A signal whose effect was delayed until everything was saved."""


def did_you_mean(word: str, known: Iterable[str], prefix: str = "", *, cutoff: float = 0.6) -> str:
    """Return the end of a message about an unknown word: the known word most like it, or all.

    Args:
        word: The unknown word.
        known: The words that exist.
        prefix: Text before the suggested word.
        cutoff: How similar a suggestion must be, from 0 to 1.
    """
    known = list(known)
    similar = difflib.get_close_matches(word, known, n=1, cutoff=cutoff)
    if similar:
        return f"; did you mean {prefix}{similar[0]}?"
    return f"; there {'is' if len(known) == 1 else 'are'} {listed(known)}"


def listed(names: Iterable[str]) -> str:
    """Join names with commas; only the first `MAX_LISTED`, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more


def first_line(error: BaseException) -> str:
    """The first line of another library's error message, or the error's type without one."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip()


def escape_controls(text: str, *, keep: str = "") -> str:
    """Escape control characters and line breaks in a text, except those in ``keep``.

    Otherwise, names in data and weights could clear a terminal, set its title or fake lines.
    """
    return _CONTROLS.sub(
        lambda found: found[0] if found[0] in keep else found[0].encode("unicode_escape").decode(),
        text,
    )
