"""Checks of values in JSON files: ids, numbers and boxes."""

import math
from collections.abc import Container
from typing import Any

MAX_NUMBER = 1e30
"""Larger numbers overflow float32 boxes and their areas; this excludes infinity too."""
MAX_DIGITS = 4300
"""Maximum number of digits that Python converts to an integer."""


def resolve_id(value: Any, known: Container[int | str]) -> Any:  # noqa: ANN401 - any id
    """The id in ``known`` that a value means: 1, 1.0 and "1" match; the value if there is none."""
    if value in known:
        return value
    is_number = isinstance(value, str) and len(value) < MAX_DIGITS and value.strip().isdecimal()
    other = int(value) if is_number else str(whole(value))
    return other if other in known else value


def is_id(value: object) -> bool:
    """Whether the value is a number or a string."""
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def is_unicode(text: str) -> bool:
    """Whether a string can be encoded as UTF-8; strings in JSON may have lone surrogates."""
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
    """Whether the value is a list of four numbers, which may be infinite, NaN or strings."""
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
    """The value, as an integer if it is a float without a fractional part."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def is_box(value: object) -> bool:
    """Whether the value is ``[x, y, width, height]``, four numbers, the sizes not negative."""
    if not isinstance(value, list) or len(value) != 4:
        return False
    return all(map(is_number, value)) and min(value[2:]) >= 0
