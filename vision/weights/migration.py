"""Metadata, weights and training states, as older versions wrote them too, by today's names."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, Json, ValidationError

from vision.config import Config, config_from_dict, rename_keys
from vision.errors import ConfigError, WeightsError
from vision.formats.paths import nfc

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


def recorded_licence(training: Mapping[str, Any]) -> str:
    """What a file, or the weights that its training started from, say of their licence; or ""."""
    start = str(training.get("start", ""))
    return str(training.get("licence") or start.partition("licence ")[2][:-1])


def migrate_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state of training, by today's state-dict keys."""
    average = state["ema"]
    return {
        **state,
        "model": migrate_keys(state["model"]),
        "ema": average if average is None else migrate_keys(average),
    }


class _Metadata(BaseModel):
    """What the metadata of weights and of exported graphs have in common; each is JSON."""

    config: Json[dict[str, Any]]
    names: Json[list[str]]
    training: Json[dict[str, Any]]


def parse_metadata(
    strings: Mapping[str, str], where: str
) -> tuple[Config, list[str], dict[str, Any]]:
    """Configuration, class names and training from the texts of a file's metadata, by key.

    Raises:
        WeightsError: If one is missing or damaged; ``where`` names the file.
    """
    try:
        found = _Metadata.model_validate(strings)
        # Keys that were renamed since need no warning.
        config = config_from_dict(rename_keys(found.config), where=where)
    except ValidationError as error:
        first = error.errors()[0]
        damage = f"{first['loc'][0]}: {first['msg']}"
        raise WeightsError(f"{where}: the metadata are damaged: {damage}") from error
    except ConfigError as error:
        raise WeightsError("; ".join(map(str.strip, str(error).splitlines()))) from error
    names = [nfc(name) for name in found.names]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice or "" in names:
        damage = f"{twice[0]!r:.100} is given twice" if twice else "one is empty"
        raise WeightsError(f"{where}: the metadata are damaged: names: {damage}")
    return config, names, migrate_training(found.training)
