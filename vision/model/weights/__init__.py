"""Weights on disk: ours, and those of other projects."""

from vision.model.weights.average import average, halve
from vision.model.weights.file import (
    SavedDetector,
    SavedTrunk,
    load_any,
    load_weights,
    save_trunk,
    save_weights,
    shipped_weights,
)
from vision.model.weights.norms import refit_norms
from vision.model.weights.sources import FOLDED, SOURCES, convert
from vision.model.weights.start import start_from

__all__ = [
    "FOLDED",
    "SOURCES",
    "SavedDetector",
    "SavedTrunk",
    "average",
    "convert",
    "halve",
    "load_any",
    "load_weights",
    "refit_norms",
    "save_trunk",
    "save_weights",
    "shipped_weights",
    "start_from",
]
