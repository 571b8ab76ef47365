"""Annotation formats, each read into the same records."""

from vision.formats.coco import read_coco
from vision.formats.records import AnnotatedObject, Annotations, Record, Tally, make_record
from vision.formats.voc import read_voc

__all__ = [
    "AnnotatedObject",
    "Annotations",
    "Record",
    "Tally",
    "make_record",
    "read_coco",
    "read_voc",
]
