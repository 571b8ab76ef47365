"""Weights and training states as older versions wrote them, brought to today's names."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from vision.config import rename_keys

Value = TypeVar("Value")

DETECTOR_FORMATS = ("ssdlite-1", "ssdlite-2")
BACKBONE_FORMATS = ("ssdlite-trunk-1", "ssdlite-backbone-2")
"""Formats that are read; the last of each is written."""
_BACKBONE = re.compile(r"^(module\.)?trunk\.")
FOLDED = "folded into the convolutions, their statistics lost"
"""The sentence for people; ``norms`` held it in format 1, where ``norms_folded`` is now true."""


def migrate_keys(tensors: Mapping[str, Value]) -> dict[str, Value]:
    """Tensors by today's state-dict keys: the backbone was called trunk."""
    return {_BACKBONE.sub(r"\1backbone.", key): value for key, value in tensors.items()}


def migrate_training(training: Mapping[str, Any]) -> dict[str, Any]:
    """What metadata say of a training, by today's keys."""
    if training.get("norms") != FOLDED:
        return dict(training)
    return {key: value for key, value in training.items() if key != "norms"} | {
        "norms_folded": True
    }


def migrate_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state of training, by today's state-dict and configuration keys."""
    average = state["ema"]
    return {
        **state,
        "model": migrate_keys(state["model"]),
        "ema": average if average is None else migrate_keys(average),
        "config": rename_keys(state["config"]),
    }
