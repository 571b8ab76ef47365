"""Weights on disk: ours, and those of other projects."""

from vision.model.weights.average import average, halve
from vision.model.weights.file import (
    SHIPPED,
    SavedDetector,
    SavedTrunk,
    find_weights,
    load_any,
    load_weights,
    save_trunk,
    save_weights,
)
from vision.model.weights.labels import knows
from vision.model.weights.norms import refit_norms
from vision.model.weights.sources import FOLDED, SOURCES, convert
from vision.model.weights.start import (
    Start,
    interpolate,
    load_start,
    match_network,
    silence_classes,
    start_from,
)

__all__ = [
    "FOLDED",
    "SHIPPED",
    "SOURCES",
    "SavedDetector",
    "SavedTrunk",
    "Start",
    "average",
    "convert",
    "find_weights",
    "halve",
    "interpolate",
    "knows",
    "load_any",
    "load_start",
    "load_weights",
    "match_network",
    "refit_norms",
    "save_trunk",
    "save_weights",
    "silence_classes",
    "start_from",
]
