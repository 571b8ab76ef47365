"""Annotation formats: one module for each, listed in `vision.choices`, reads `Annotations`."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from vision.choices import DATA_FORMATS
from vision.errors import DataError
from vision.formats.coco import read_coco
from vision.formats.records import (
    AnnotatedObject,
    Annotations,
    Fault,
    Record,
    Tally,
    counted,
    make_record,
)
from vision.formats.voc import read_voc

__all__ = [
    "AnnotatedObject",
    "Annotations",
    "Fault",
    "Record",
    "Tally",
    "counted",
    "make_record",
    "read_coco",
    "read_data",
    "read_voc",
    "write_data",
]


def read_data(name: str, **keys: Any) -> Annotations:  # noqa: ANN401 - each format has its own
    """Read data in the format ``name``, with ``keys`` as its reader's arguments.

    Raises:
        DataError: If a file or folder is missing or invalid, or has an impossible name.
    """
    reader: Callable[..., Annotations] = getattr(import_module(DATA_FORMATS[name]), f"read_{name}")
    try:
        return reader(**keys)
    except OSError as error:  # for example, an annotation names a file whose name is too long
        raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error


def write_data(name: str, annotations: Annotations, root: Path, split: str) -> Tally:
    """Write a split in the format ``name``, and return what the format cannot hold."""
    module = import_module(DATA_FORMATS[name])
    writer: Callable[[Annotations, Path, str], Tally] = getattr(module, f"write_{name}")
    return writer(annotations, root, split)
