"""What users' data may do to a terminal, which is nothing: control characters are escaped."""

import re
from typing import Any

from vision.errors import escape_controls

_COLOURS = re.compile(r"(\x1b\[[0-9;]*m)")
_NEW_LINE = re.compile(r"\r?\n(?!  )")


class HarmlessStream:
    """A text stream whose control characters are escaped, except tabs and line breaks.

    On terminals colours stay, which the lines of commands have.
    """

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - a TextIO, or what tests put there
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text."""
        parts = _COLOURS.split(text) if self._stream.isatty() else [text]
        parts[::2] = [escape_controls(part, keep="\t\n") for part in parts[::2]]
        number: int = self._stream.write("".join(parts))
        return number

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._stream, name)


def as_message(text: str) -> str:
    """A message that cannot pose as two: lines after the first are indented."""
    return escape_controls(_NEW_LINE.sub("\n  ", text), keep="\t\n")
