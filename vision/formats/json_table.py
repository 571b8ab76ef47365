"""Checked access to lists of JSON objects; error messages name the file and the row."""

# n rows

import reprlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64

import vision.boxes as box_ops
from vision.errors import DataError
from vision.formats.json_file import describe
from vision.formats.json_values import (
    MAX_NUMBER,
    is_box,
    is_id,
    is_number,
    is_quadruple,
    is_unicode,
    resolve_id,
    whole,
)

NUM_SHOWN = 3
"""Maximum number of values that a message lists."""
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 100


def check_rows(where: str, rows: object, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Return ``rows``; raise DataError unless they are a list of objects that have all ``keys``."""
    if not isinstance(rows, list):
        raise DataError(f"{where}: expected a list, found {describe(rows)}")
    if set(map(type, rows)) <= {dict} and all(map(set(keys).issubset, rows)):
        return rows
    for index, row in enumerate(rows):
        missing = [key for key in keys if not isinstance(row, dict) or key not in row]
        if missing:
            raise DataError(
                f"{where}[{index}]: expected an object with {', '.join(keys)}, found"
                f" {describe(row)} (without {', '.join(missing)})"
            )
    return rows


def check_unique(
    where: str,
    rows: Sequence[Mapping[str, Any]],
    key: str,
    *types: type,
    shown: str | None = None,
) -> None:
    """Raise DataError if a value of ``key`` is not of one of ``types``, or occurs in two rows.

    An integer may be written with decimals, such as 1.0. ``shown`` is the key whose values the
    message lists for the rows with the same ``key``.
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
            f"{where}: expected each {key} once, found duplicates of {_few(twice)}{also};"
            " remove them"
        )


def lookup(
    where: str, rows: Sequence[Mapping[str, Any]], key: str, known: Mapping[int | str, int]
) -> Int64[np.ndarray, "n"]:
    """The values in ``known`` for each row's ``key``, which `resolve_id` may convert."""
    values = [row[key] for row in rows]
    if set(map(type, values)) <= {int, float, str}:
        indices = list(map(known.get, values))
        if None not in indices:
            return np.array(indices, np.int64)
    values = [resolve_id(value, known) if is_id(value) else value for value in values]
    unknown = [value for value in values if not is_id(value) or value not in known]
    if unknown:
        raise DataError(
            f"{where}: expected each {key} to be one of the annotation file's {len(known)}"
            f" ({_few(known)}), found {_few(unknown)} in {len(unknown)} of {len(values)} records;"
            " all files must belong to the same data set and split"
        )
    return np.array([known[value] for value in values], np.int64)


def ids(where: str, rows: Sequence[Mapping[str, Any]], key: str) -> list[int | float | str]:
    """Each row's ``key``, which must be a number or a string."""
    return _checked(where, rows, key, is_id, "a number or string")


def texts(where: str, rows: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """Each row's ``key``, which must be a string that is not empty."""
    return _checked(
        where, rows, key, lambda value: isinstance(value, str) and bool(value), "a string"
    )


def names(where: str, rows: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """Each row's ``key``, which must be a string that is not empty and can be encoded as UTF-8."""
    texts(where, rows, key)
    return _checked(where, rows, key, is_unicode, "a string without lone surrogates")


def xyxy_boxes(
    where: str, rows: Sequence[Mapping[str, Any]], *, allow_degenerate: bool = False
) -> Float64[np.ndarray, "n 4"]:
    """The boxes of `xywh_boxes`, converted to ``xyxy``."""
    boxes = xywh_boxes(where, rows, allow_degenerate=allow_degenerate)
    return box_ops.xywh_to_xyxy(torch.from_numpy(boxes)).numpy()


def xywh_boxes(
    where: str, rows: Sequence[Mapping[str, Any]], *, allow_degenerate: bool = False
) -> Float64[np.ndarray, "n 4"]:
    """Each row's ``bbox`` (x, y, width, height).

    With ``allow_degenerate``, values may be infinite, NaN or numeric strings, and sizes negative.
    """
    values: list[Any] = [row.get("bbox") for row in rows]
    if set(map(type, values)) <= {list} and set(map(len, values)) <= {4}:
        sides = _number_column(list(chain.from_iterable(values)))
        if sides is not None and (sides.reshape(-1, 4)[:, 2:] >= 0).all():
            return sides.reshape(-1, 4)
    if allow_degenerate:
        values = _checked(where, rows, "bbox", is_quadruple, "[x, y, width, height]")
    else:
        expected = "[x, y, width, height], finite and not of negative size"
        values = _checked(where, rows, "bbox", is_box, expected)
    return np.array(values, np.float64).reshape(-1, 4)


def numbers(
    where: str, rows: Sequence[Mapping[str, Any]], key: str, default: float | None = None
) -> Float64[np.ndarray, "n"]:
    """Each row's ``key``, a finite number; ``default``, if given, where it is missing or null."""
    column = _number_column([row.get(key) for row in rows])
    if column is not None:
        return column

    def is_valid(value: object) -> bool:
        return is_number(value) or (value is None and default is not None)

    values = _checked(where, rows, key, is_valid, "a finite number")
    return np.array([default if value is None else value for value in values], np.float64)


def flags(where: str, rows: Sequence[Mapping[str, Any]], key: str) -> Bool[np.ndarray, "n"]:
    """Each row's ``key`` (0, 1, true or false) as a Boolean; false where it is missing or null."""
    values = _checked(where, rows, key, lambda value: value in (0, 1, None), "0 or 1")
    return np.array([bool(value) for value in values], np.bool_)


def _number_column(values: list[Any]) -> Float64[np.ndarray, "n"] | None:
    """The values as an array if `is_number` accepts all, else None; faster than checking each."""
    if not set(map(type, values)) <= {int, float}:
        return None
    try:
        column = np.array(values, np.float64)
    except OverflowError:
        return None
    return column if (np.abs(column) < MAX_NUMBER).all() else None


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
        found = _SHORT.repr(values[wrong[0]])
        raise DataError(f"{where}[{wrong[0]}].{key}: expected {expected}, found {found}{more}")
    return values


def _few(values: Iterable[object]) -> str:
    """The first distinct values, and how many others there are."""
    words = list(dict.fromkeys(map(_SHORT.repr, values)))
    more = f" and {len(words) - NUM_SHOWN} more" if len(words) > NUM_SHOWN else ""
    return ", ".join(words[:NUM_SHOWN]) + more
