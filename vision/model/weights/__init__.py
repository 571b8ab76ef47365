"""Weights on disk."""

from vision.model.weights.file import SavedDetector, load_weights, save_weights

__all__ = ["SavedDetector", "load_weights", "save_weights"]
