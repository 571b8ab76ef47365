"""Weights of other projects, converted to ours."""

from vision.convert.sources import SOURCES, convert_weights, load_initial_weights

__all__ = ["SOURCES", "convert_weights", "load_initial_weights"]
