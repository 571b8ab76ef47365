"""Weights on disk in our own format, their averages, and training that starts from them."""

from vision.weights.averaging import average, halve
from vision.weights.file import (
    SHIPPED,
    SavedDetector,
    SavedTrunk,
    find_weights,
    load_any,
    load_weights,
    save_trunk,
    save_weights,
)
from vision.weights.initialisation import (
    Start,
    interpolate,
    match_network,
    silence_classes,
    start_from,
)
from vision.weights.labels import knows
from vision.weights.norms import FOLDED, refit_norms

__all__ = [
    "FOLDED",
    "SHIPPED",
    "SavedDetector",
    "SavedTrunk",
    "Start",
    "average",
    "find_weights",
    "halve",
    "interpolate",
    "knows",
    "load_any",
    "load_weights",
    "match_network",
    "refit_norms",
    "save_trunk",
    "save_weights",
    "silence_classes",
    "start_from",
]
