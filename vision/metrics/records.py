"""Lists of JSON objects, checked: what is wrong is refused in one line that names the file."""

# n records

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float64, Int64

from vision.errors import DataError

__all__ = ["boxes", "check_unique", "flags", "load", "lookup", "numbers", "table"]

Kind = TypeVar("Kind")

LARGEST = 1e30
"""Numbers beyond this do not fit float32 boxes and their areas; it keeps out infinity too."""

SHOWN = 3
"""How many wrong values a message names."""


def load(path: Path, kind: type[Kind], expected: str) -> Kind:
    """The JSON value in a file, of type ``kind``, which ``expected`` puts in words.

    Raises:
        DataError: If the file cannot be read, is no JSON or holds a value of another type.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected {expected}, found a file that is no text") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; expected {expected}") from error
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected {expected}, found invalid JSON: {error}") from error
    if not isinstance(value, kind):
        raise DataError(
            f"{path}: expected {expected}, found {_describe(value)};"
            " check that detections and annotations are not swapped"
        )
    return value


def table(where: str, records: object, keys: Sequence[str]) -> list[dict[str, Any]]:
    """The records as they are, unless they are no list of objects that all have ``keys``."""
    if not isinstance(records, list):
        raise DataError(f"{where}: expected a list, found {_describe(records)}")
    for index, record in enumerate(records):
        missing = [key for key in keys if not isinstance(record, dict) or key not in record]
        if missing:
            raise DataError(
                f"{where}[{index}]: expected an object with {', '.join(keys)}, found"
                f" {_describe(record)} (without {', '.join(missing)})"
            )
    return records


def check_unique(where: str, records: Sequence[Mapping[str, Any]], key: str, *types: type) -> None:
    """Refuse a ``key`` that is of another type or that two records share."""
    values = [record[key] for record in records]
    wrong = [value for value in values if type(value) not in types]
    if wrong:
        words = " or ".join(kind.__name__ for kind in types)
        raise DataError(f"{where}: expected each {key} to be {words}, found {_few(wrong)}")
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise DataError(
            f"{where}: expected each {key} once, found more than one {_few(twice)};"
            " remove the duplicates"
        )


def lookup(
    where: str, records: Sequence[Mapping[str, Any]], key: str, known: Mapping[int | str, int]
) -> Int64[np.ndarray, "n"]:
    """What ``known`` has for each record's ``key``, which must be one of its ids."""
    values = [record[key] for record in records]
    unknown = [value for value in values if not _is_id(value) or value not in known]
    if unknown:
        raise DataError(
            f"{where}: expected each {key} to be one of the annotation file's {len(known)}"
            f" ({_few(known)}), found {_few(unknown)} in {len(unknown)} of {len(values)} records;"
            " all must be of one data set and split"
        )
    return np.array([known[value] for value in values], np.int64)


def boxes(where: str, records: Sequence[Mapping[str, Any]]) -> Float64[np.ndarray, "n 4"]:
    """The records' ``bbox`` (x, y, width, height) as ``xyxy``."""
    values = _checked(
        where, records, "bbox", _is_box, "[x, y, width, height], finite and not of negative size"
    )
    corner, size = np.split(np.array(values, np.float64).reshape(-1, 4), 2, axis=1)
    return np.concatenate([corner, corner + size], axis=1)


def numbers(
    where: str, records: Sequence[Mapping[str, Any]], key: str, default: float | None = None
) -> Float64[np.ndarray, "n"]:
    """The records' ``key``, a finite number; ``default``, if any, where it is missing or null."""

    def is_right(value: object) -> bool:
        return _is_number(value) or (value is None and default is not None)

    values = _checked(where, records, key, is_right, "a finite number")
    return np.array([default if value is None else value for value in values], np.float64)


def flags(where: str, records: Sequence[Mapping[str, Any]], key: str) -> Bool[np.ndarray, "n"]:
    """The records' ``key`` as true or false; false where it is missing or null."""
    values = _checked(where, records, key, lambda value: value in (0, 1, None), "0 or 1")
    return np.array([bool(value) for value in values], np.bool_)


def _checked(
    where: str,
    records: Sequence[Mapping[str, Any]],
    key: str,
    is_right: Callable[[Any], bool],
    expected: str,
) -> list[Any]:
    values = [record.get(key) for record in records]
    wrong = [index for index, value in enumerate(values) if not is_right(value)]
    if wrong:
        more = f" (and {len(wrong) - 1} more of {len(values)})" if len(wrong) > 1 else ""
        raise DataError(
            f"{where}[{wrong[0]}].{key}: expected {expected}, found {values[wrong[0]]!r}{more}"
        )
    return values


def _is_id(value: object) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -LARGEST < value < LARGEST


def _is_box(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 4:
        return False
    return all(map(_is_number, value)) and min(value[2:]) >= 0


def _few(values: Iterable[object]) -> str:
    """The first different values and how many there are more."""
    words = list(dict.fromkeys(map(repr, values)))
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more


def _describe(value: object) -> str:
    if isinstance(value, dict):
        return f"an object with {', '.join(map(str, list(value)[:6])) or 'nothing in it'}"
    return "a list" if isinstance(value, list) else repr(value)[:40]
