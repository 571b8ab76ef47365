"""The lines of a journal: JSON objects, checked when they are read again."""

import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from vision.detection.schema import Entry
from vision.errors import DataError


class Done(NamedTuple):
    """An input with entries: completed, or broken off.

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
    """The line of an object."""
    return json.dumps(value).encode() + b"\n"


def difference(existing: bytes, expected: bytes, path: Path) -> str:
    """Why the run whose first line is ``existing`` is not continued; ``path`` is the journal."""
    before, now = _parse(existing).get("settings"), json.loads(expected)["settings"]
    if not isinstance(before, dict):
        return f"{path} is damaged; remove it and start again"
    keys = [key for key in {**now, **before} if before.get(key) != now.get(key)]
    changed = ", ".join(keys) or "format"
    return (
        f"{path} was started with other settings ({changed}); resume with the same, or"
        " start again with --overwrite"
    )


def parse_line(line: bytes, path: Path) -> dict[str, Any]:
    """The object of a line: the start or end of an input, or an entry as `make_entry` gives it.

    Raises:
        DataError: If the line is damaged; ``path`` is the journal.
    """
    value = _parse(line)
    if isinstance(value.get("start"), str) or _is_end(value) or _is_entry(value):
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
