"""Weights on disk in our own format, their averages, and training that starts from them."""

from vision.weights.averaging import average, interpolate, to_half
from vision.weights.file import (
    SavedBackbone,
    SavedDetector,
    load_any,
    load_weights,
    save_backbone,
    save_weights,
)
from vision.weights.initialisation import expect_few, silence_classes, start_from
from vision.weights.labels import known_classes
from vision.weights.locate import SHIPPED, find_weights
from vision.weights.migration import migrate_state
from vision.weights.network import match_network
from vision.weights.norms import refit_norms

__all__ = [
    "SHIPPED",
    "SavedBackbone",
    "SavedDetector",
    "average",
    "expect_few",
    "find_weights",
    "interpolate",
    "known_classes",
    "load_any",
    "load_weights",
    "match_network",
    "migrate_state",
    "refit_norms",
    "save_backbone",
    "save_weights",
    "silence_classes",
    "start_from",
    "to_half",
]
