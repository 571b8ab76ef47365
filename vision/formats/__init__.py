"""Annotation formats: each is one file that reads `Annotations`, listed in `vision.choices`."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from vision.choices import DATA_FORMATS
from vision.formats.coco import read_coco
from vision.formats.records import AnnotatedObject, Annotations, Fault, Record, Tally, make_record
from vision.formats.voc import read_voc

__all__ = [
    "AnnotatedObject",
    "Annotations",
    "Fault",
    "Record",
    "Tally",
    "make_record",
    "read_coco",
    "read_data",
    "read_voc",
]


def read_data(name: str, **keys: Any) -> Annotations:  # noqa: ANN401 - each format has its own
    """Read data of the format ``name``; the keys are its reader's arguments."""
    reader: Callable[..., Annotations] = getattr(import_module(DATA_FORMATS[name]), f"read_{name}")
    return reader(**keys)
