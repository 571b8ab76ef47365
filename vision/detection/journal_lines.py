"""The lines of a journal: JSON objects, checked when they are read again."""

import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vision.errors import DataError


def make_line(value: Mapping[str, Any]) -> bytes:
    """The line of an object."""
    return json.dumps(value).encode() + b"\n"


def parse_line(line: bytes, path: Path) -> dict[str, Any]:
    """The object of a line: the start or end of an input, or an entry as `make_entry` gives it.

    Raises:
        DataError: If the line is damaged; ``path`` is the journal.
    """
    try:
        value = json.loads(line)
        if isinstance(value, dict) and ("start" in value or _is_end(value) or _is_entry(value)):
            return value
    except (ValueError, RecursionError):
        pass
    found = reprlib.repr(line)
    raise DataError(f"{path} is damaged at the line {found}; start again with --overwrite")


def _is_end(value: Mapping[str, Any]) -> bool:
    return isinstance(value.get("done"), str) and isinstance(value.get("place"), str)


def _is_entry(value: Mapping[str, Any]) -> bool:
    found = value.get("detections")
    return (
        isinstance(value.get("image"), str)
        and isinstance(found, list)
        and all(isinstance(item, dict) and {"label", "score", "box"} <= set(item) for item in found)
    )
