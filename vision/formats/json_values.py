"""What a value in a JSON file may be: an id, a number, a box."""

import math
from collections.abc import Container
from typing import Any

MAX_NUMBER = 1e30
"""Larger numbers overflow float32 boxes and their areas; this excludes infinity too."""
MAX_DIGITS = 4300
"""Longest text that Python reads as an integer."""


def resolve_id(value: Any, known: Container[int | str]) -> Any:  # noqa: ANN401 - any id
    """The value, or the number that a text is, or the text of a number, if that is ``known``."""
    if value in known:
        return value
    is_number = isinstance(value, str) and len(value) < MAX_DIGITS and value.strip().isdecimal()
    other = int(value) if is_number else str(whole(value))
    return other if other in known else value


def is_id(value: object) -> bool:
    """Whether the value is a number or text."""
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def is_unicode(text: str) -> bool:
    """Whether a text can be written in UTF-8: JSON's may have lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_number(value: object) -> bool:
    """Whether the value is a number that is finite and not too large."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -MAX_NUMBER < value < MAX_NUMBER


def is_quadruple(value: object) -> bool:
    """Whether the value is a list of four numbers, infinite, NaN and texts included."""
    if not isinstance(value, list) or len(value) != 4:
        return False
    if any(isinstance(side, bool) or not isinstance(side, int | float | str) for side in value):
        return False
    try:
        sides = [float(side) for side in value]
    except (ValueError, OverflowError):
        return False
    return all(is_number(side) or not math.isfinite(side) for side in sides)


def whole(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The value, as an integer if it is a float without fraction."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def is_box(value: object) -> bool:
    """Whether the value is ``[x, y, width, height]``, numbers and not of negative size."""
    if not isinstance(value, list) or len(value) != 4:
        return False
    return all(map(is_number, value)) and min(value[2:]) >= 0
