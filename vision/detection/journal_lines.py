"""The lines of a journal: JSON objects, checked when they are read back."""

import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from vision.detection.schema import Entry
from vision.errors import DataError


class Done(NamedTuple):
    """An input with entries: complete, or interrupted.

    Attributes:
        place: Path of its result, relative to the output folder; None if it was being read when
            the process was killed.
        start: Offset of its first line in the file, in bytes.
        end: Offset of the end of its last line.
        complete: Whether it was read to its end; otherwise a resumed run tries it again, and
            keeps these entries until then.
    """

    place: str | None
    start: int
    end: int
    complete: bool = True


def make_line(value: Mapping[str, Any]) -> bytes:
    """Encode an object as a line."""
    return json.dumps(value).encode() + b"\n"


def difference(existing: bytes, expected: bytes, path: Path) -> str:
    """Explain why a run cannot be resumed whose journal ``path`` starts with ``existing``."""
    before, now = _parse(existing).get("settings"), json.loads(expected)["settings"]
    if not isinstance(before, dict):
        return f"{path} is damaged; remove it and start again"
    keys = [key for key in {**now, **before} if before.get(key) != now.get(key)]
    changed = ", ".join(keys) or "format"
    return (
        f"{path} was started with other settings ({changed}); resume with the same settings, or"
        " start again with --overwrite"
    )


def parse_line(line: bytes, path: Path) -> dict[str, Any]:
    """Parse a line: the start or end of an input, or an entry as `make_entry` returns it.

    Raises:
        DataError: If the line is damaged; ``path`` is the journal.
    """
    value = _parse(line)
    if isinstance(value.get("start"), str) or _is_end(value) or _is_entry(value):
        return value
    raise _damaged(line, path)


def parse_entry(line: bytes, path: Path) -> Entry:
    """Parse a line with an entry, of a journal, or of ``detections.json`` without its comma.

    Raises:
        DataError: If the line is not an entry; ``path`` is the file.
    """
    value = _parse(line)
    if _is_entry(value):
        return cast("Entry", value)
    raise _damaged(line, path)


def _parse(line: bytes) -> dict[str, Any]:
    """Parse a line; return an empty dictionary if it is not a JSON object."""
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
