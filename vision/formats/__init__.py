"""Annotation formats: each is one file that reads into `Annotations`, and one line in `READERS`."""

from collections.abc import Callable

from vision.formats.coco import read_coco
from vision.formats.records import AnnotatedObject, Annotations, Record, Tally, make_record
from vision.formats.voc import read_voc

__all__ = [
    "READERS",
    "AnnotatedObject",
    "Annotations",
    "Record",
    "Tally",
    "make_record",
    "read_coco",
    "read_voc",
]

READERS: dict[str, Callable[..., Annotations]] = {"coco": read_coco, "voc": read_voc}
"""Readers by a data source's ``format``, whose other keys are the reader's arguments."""
