"""The lines of a journal: JSON objects, checked when they are read again."""

import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from vision.detection.schema import Entry
from vision.errors import DataError


def make_line(value: Mapping[str, Any]) -> bytes:
    """The line of an object."""
    return json.dumps(value).encode() + b"\n"


def parse_line(line: bytes, path: Path) -> dict[str, Any]:
    """The object of a line: the start or end of an input, or an entry as `make_entry` gives it.

    Raises:
        DataError: If the line is damaged; ``path`` is the journal.
    """
    value = _parse(line)
    if "start" in value or _is_end(value) or _is_entry(value):
        return value
    raise _damaged(line, path)


def parse_entry(line: bytes, path: Path) -> Entry:
    """The entry of a line, also of ``detections.json`` without the comma.

    Raises:
        DataError: If the line is none; ``path`` is the file.
    """
    value = _parse(line)
    if _is_entry(value):
        return cast("Entry", value)
    raise _damaged(line, path)


def _parse(line: bytes) -> dict[str, Any]:
    """The object of a line; empty if it is none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _damaged(line: bytes, path: Path) -> DataError:
    found = reprlib.repr(line)
    return DataError(f"{path} is damaged at the line {found}; start again with --overwrite")


def _is_end(value: Mapping[str, Any]) -> bool:
    return isinstance(value.get("done"), str) and isinstance(value.get("place"), str)


def _is_entry(value: Mapping[str, Any]) -> bool:
    found = value.get("detections")
    return (
        isinstance(value.get("image"), str)
        and isinstance(found, list)
        and all(isinstance(item, dict) and {"label", "score", "box"} <= set(item) for item in found)
    )
