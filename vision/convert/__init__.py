"""Weights of other projects, converted to ours."""

from vision.convert.sources import SOURCES, convert, load_start

__all__ = ["SOURCES", "convert", "load_start"]
