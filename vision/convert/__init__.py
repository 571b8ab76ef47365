"""Conversion of other projects' weights to ours."""

from vision.convert.sources import convert_weights, load_initial_weights

__all__ = ["convert_weights", "load_initial_weights"]
