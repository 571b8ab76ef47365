"""Checked access to lists of JSON objects; errors name the file and the row."""

# n rows

import json
import math
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64

import vision.boxes as box_ops
from vision.errors import DataError
from vision.formats.paths import read_bytes

Kind = TypeVar("Kind")

MAX_NUMBER = 1e30
"""Larger numbers overflow float32 boxes and their areas; this excludes infinity too."""

NUM_SHOWN = 3
"""Number of wrong values that a message names."""


def load_json(path: Path, kind: type[Kind], expected: str) -> Kind:
    """The JSON value in a file, which must be of type ``kind``; ``expected`` describes it.

    The file may be in UTF-8, UTF-16 or UTF-32, and begin with a byte order mark.

    Raises:
        DataError: If the file cannot be read, is not JSON or holds a value of another type.
    """
    try:
        value = json.loads(read_bytes(path))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected {expected}, found a file that is not text") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; expected {expected}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected {expected}, found invalid JSON: {error}") from error
    if not isinstance(value, kind):
        raise DataError(
            f"{path}: expected {expected}, found {_describe(value)};"
            " check that detections and annotations are not swapped"
        )
    return value


def check_rows(where: str, rows: object, keys: Sequence[str]) -> list[dict[str, Any]]:
    """The rows, which must be a list of objects that all have ``keys``."""
    if not isinstance(rows, list):
        raise DataError(f"{where}: expected a list, found {_describe(rows)}")
    for index, row in enumerate(rows):
        missing = [key for key in keys if not isinstance(row, dict) or key not in row]
        if missing:
            raise DataError(
                f"{where}[{index}]: expected an object with {', '.join(keys)}, found"
                f" {_describe(row)} (without {', '.join(missing)})"
            )
    return rows


def check_unique(
    where: str,
    rows: Sequence[Mapping[str, Any]],
    key: str,
    *types: type,
    shown: str | None = None,
) -> None:
    """Refuse a ``key`` that is of another type or occurs in two rows.

    A whole number may be written with decimals. ``shown`` is a key whose values tell the user
    which rows have the same ``key``.
    """
    values = [row[key] for row in rows]
    wrong = [value for value in values if type(whole(value)) not in types]
    if wrong:
        words = " or ".join(kind.__name__ for kind in types)
        raise DataError(f"{where}: expected each {key} to be {words}, found {_few(wrong)}")
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        named = (
            [row[shown] for row in rows if row[key] == twice[0] and shown in row] if shown else []
        )
        also = f" ({_few(named)})" if named else ""
        raise DataError(
            f"{where}: expected each {key} once, found more than one {_few(twice)}{also};"
            " remove the duplicates"
        )


def lookup(
    where: str, rows: Sequence[Mapping[str, Any]], key: str, known: Mapping[int | str, int]
) -> Int64[np.ndarray, "n"]:
    """The value in ``known`` of each row's ``key``, see `resolve_id`."""
    values = [row[key] for row in rows]
    values = [resolve_id(value, known) if _is_id(value) else value for value in values]
    unknown = [value for value in values if not _is_id(value) or value not in known]
    if unknown:
        raise DataError(
            f"{where}: expected each {key} to be one of the annotation file's {len(known)}"
            f" ({_few(known)}), found {_few(unknown)} in {len(unknown)} of {len(values)} records;"
            " all must be of one data set and split"
        )
    return np.array([known[value] for value in values], np.int64)


def resolve_id(value: Any, known: Container[int | str]) -> Any:  # noqa: ANN401 - any id
    """The value, or the number that a text is, or the text of a number, if that is ``known``."""
    if value in known:
        return value
    is_number = isinstance(value, str) and value.strip().isdecimal()
    other = int(value) if is_number else str(whole(value))
    return other if other in known else value


def ids(where: str, rows: Sequence[Mapping[str, Any]], key: str) -> list[int | float | str]:
    """The rows' ``key``, a number or text."""
    return _checked(where, rows, key, _is_id, "a number or text")


def texts(where: str, rows: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """The rows' ``key``, a text that is not empty."""
    return _checked(
        where, rows, key, lambda value: isinstance(value, str) and bool(value), "a text"
    )


def xyxy_boxes(
    where: str, rows: Sequence[Mapping[str, Any]], *, allow_degenerate: bool = False
) -> Float64[np.ndarray, "n 4"]:
    """The rows' ``bbox`` (x, y, width, height) as ``xyxy``.

    With ``allow_degenerate``, they may be infinite, NaN, of negative size, or numbers as texts.
    """
    if allow_degenerate:
        values = _checked(where, rows, "bbox", _is_quadruple, "[x, y, width, height]")
    else:
        expected = "[x, y, width, height], finite and not of negative size"
        values = _checked(where, rows, "bbox", _is_box, expected)
    boxes_xywh = torch.from_numpy(np.array(values, np.float64).reshape(-1, 4))
    return box_ops.xywh_to_xyxy(boxes_xywh).numpy()


def numbers(
    where: str, rows: Sequence[Mapping[str, Any]], key: str, default: float | None = None
) -> Float64[np.ndarray, "n"]:
    """The rows' ``key``, a finite number; ``default``, if given, where it is missing or null."""

    def is_valid(value: object) -> bool:
        return _is_number(value) or (value is None and default is not None)

    values = _checked(where, rows, key, is_valid, "a finite number")
    return np.array([default if value is None else value for value in values], np.float64)


def flags(where: str, rows: Sequence[Mapping[str, Any]], key: str) -> Bool[np.ndarray, "n"]:
    """The rows' ``key`` as true or false; false where it is missing or null."""
    values = _checked(where, rows, key, lambda value: value in (0, 1, None), "0 or 1")
    return np.array([bool(value) for value in values], np.bool_)


def _checked(
    where: str,
    rows: Sequence[Mapping[str, Any]],
    key: str,
    is_valid: Callable[[Any], bool],
    expected: str,
) -> list[Any]:
    values = [row.get(key) for row in rows]
    wrong = [index for index, value in enumerate(values) if not is_valid(value)]
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
    return -MAX_NUMBER < value < MAX_NUMBER


def _is_quadruple(value: object) -> bool:
    """Whether the value is a list of four numbers, infinite, NaN and texts included."""
    if not isinstance(value, list) or len(value) != 4:
        return False
    if any(isinstance(side, bool) or not isinstance(side, int | float | str) for side in value):
        return False
    try:
        sides = [float(side) for side in value]
    except (ValueError, OverflowError):
        return False
    return all(_is_number(side) or not math.isfinite(side) for side in sides)


def whole(value: object) -> object:
    """The value, as an integer if it is a float without fraction."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_box(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 4:
        return False
    return all(map(_is_number, value)) and min(value[2:]) >= 0


def _few(values: Iterable[object]) -> str:
    """The first distinct values, and the number of the others."""
    words = list(dict.fromkeys(map(repr, values)))
    more = f" and {len(words) - NUM_SHOWN} more" if len(words) > NUM_SHOWN else ""
    return ", ".join(words[:NUM_SHOWN]) + more


def _describe(value: object) -> str:
    if isinstance(value, dict):
        return f"an object with {', '.join(map(str, list(value)[:6])) or 'no keys'}"
    return "a list" if isinstance(value, list) else repr(value)[:40]
