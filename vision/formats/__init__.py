"""Annotation formats: each is one file that reads `Annotations`, listed in `vision.choices`."""

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
    """Read data of the format ``name``; the keys are its reader's arguments.

    Raises:
        DataError: If a file or folder is missing or invalid, or cannot have its name.
    """
    reader: Callable[..., Annotations] = getattr(import_module(DATA_FORMATS[name]), f"read_{name}")
    try:
        return reader(**keys)
    except OSError as error:  # among others, a name too long that a file of the data has
        raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error


def write_data(name: str, annotations: Annotations, root: Path, split: str) -> Tally:
    """Write a split in the format ``name``, and give what the format cannot hold."""
    module = import_module(DATA_FORMATS[name])
    writer: Callable[[Annotations, Path, str], Tally] = getattr(module, f"write_{name}")
    return writer(annotations, root, split)
