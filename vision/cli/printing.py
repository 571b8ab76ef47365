"""Escaping of control characters, so that names in users' data cannot control a terminal."""

import re
from typing import Any

from vision.errors import escape_controls

_COLOURS = re.compile(r"(\x1b\[[0-9;]*m)")
_NEW_LINE = re.compile(r"\r?\n(?!  )")


class HarmlessStream:
    """A text stream that escapes control characters, except tabs and line breaks.

    If it is a terminal, the codes of colours are kept.
    """

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - a TextIO, or a test's replacement
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, and return the number of characters written."""
        parts = _COLOURS.split(text) if self._stream.isatty() else [text]
        parts[::2] = [escape_controls(part, keep="\t\n") for part in parts[::2]]
        number: int = self._stream.write("".join(parts))
        return number

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._stream, name)


def as_message(text: str) -> str:
    """Indent all lines of a message but the first, so that it cannot pass for several messages."""
    return escape_controls(_NEW_LINE.sub("\n  ", text), keep="\t\n")
