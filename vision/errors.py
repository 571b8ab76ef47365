"""Errors that a user can resolve: a command prints each as one line and exits with 2."""

import difflib
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
]


class VisionError(ValueError):
    """Base class; a message names the place, what was expected and found, and the remedy."""


class ConfigError(VisionError):
    """An invalid configuration or command line."""


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
    """The end of a message on an unknown word: the known one spelt alike, else all of them.

    Args:
        word: The unknown word.
        known: The words that exist.
        prefix: Stands before the suggested word.
        cutoff: How similar a suggestion must be, from 0 to 1.
    """
    known = list(known)
    similar = difflib.get_close_matches(word, known, n=1, cutoff=cutoff)
    return f"; did you mean {prefix}{similar[0]}?" if similar else f"; there are {', '.join(known)}"
