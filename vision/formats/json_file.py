"""Reading JSON files: as a whole, or a long list part by part."""

import gc
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic_core import from_json

from vision.errors import DataError
from vision.files import AnyFile, read_bytes

Kind = TypeVar("Kind")

PART_BYTES = 2**21
_BETWEEN_OBJECTS = re.compile(rb"\}\s*,\s*\{")


def load_json(path: AnyFile, kind: type[Kind], expected: str) -> Kind:
    """The JSON value in a file, which must have the type ``kind``; ``expected`` describes it.

    The file may be in UTF-8, UTF-16 or UTF-32, and begin with a byte order mark.

    Raises:
        DataError: If the file cannot be read, is not JSON or holds a value of another type.
    """
    try:
        value = _parse(read_bytes(path))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected {expected}, found a file that is not text") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; expected {expected}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected {expected}, found invalid JSON: {error}") from error
    if not isinstance(value, kind):
        raise DataError(
            f"{path}: expected {expected}, found {describe(value)};"
            " check that detections and annotations are not swapped"
        )
    return value


def load_parts(path: Path) -> Iterator[list[Any]]:
    """Yield the objects of a long list part by part, so that few are in memory at once.

    The text is cut between two objects. A cut inside a string or an inner list leaves invalid
    JSON, so a part that can be parsed is correct.

    Raises:
        ValueError: If a part is not a JSON list in UTF-8; `load_json` may still read the file.
        OSError: If the file cannot be read.
    """
    text = read_bytes(path).strip()
    if text[:1] != b"[" or text[-1:] != b"]":
        raise ValueError(f"{path}: expected a list")
    begin = 1
    while begin:
        cut = _BETWEEN_OBJECTS.search(text, begin + PART_BYTES)
        yield _from_json(b"[%b]" % text[begin : cut.start() + 1 if cut else -1])
        begin = cut.end() - 1 if cut else 0


def _parse(data: bytes) -> object:
    """The JSON value, from the faster parser if that accepts the data."""
    try:
        return _from_json(data)
    except ValueError:
        return json.loads(data)  # supports other encodings too, and has clearer errors


def _from_json(data: bytes) -> Any:  # noqa: ANN401 - any JSON value
    is_enabled = gc.isenabled()
    gc.disable()  # Otherwise it searches the new objects for cycles again and again.
    try:
        return from_json(data, cache_strings="keys")
    finally:
        if is_enabled:
            gc.enable()


def describe(value: object) -> str:
    """The type of a JSON value, or the value itself, for messages."""
    if isinstance(value, dict):
        return f"an object with {', '.join(map(str, list(value)[:6])) or 'no keys'}"
    return "a list" if isinstance(value, list) else repr(value)[:40]
