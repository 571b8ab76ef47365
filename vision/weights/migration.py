"""Migration of metadata, weights and training states of older versions to today's names."""

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
"""Formats that can be read; the last of each is the one that is written."""
_BACKBONE = re.compile(r"^(module\.)?trunk\.")
FOLDED = "folded into the convolutions, their statistics lost"
"""A text for users. In format 1 ``norms`` held it, where today ``norms_folded`` is true."""


def migrate_keys(tensors: Mapping[str, Value]) -> dict[str, Value]:
    """Rename state-dict keys to today's: the backbone was called trunk."""
    return {_BACKBONE.sub(r"\1backbone.", key): value for key, value in tensors.items()}


def migrate_training(training: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the keys of a file's ``training`` metadata to today's."""
    if training.get("norms") != FOLDED:
        return dict(training)
    return {key: value for key, value in training.items() if key != "norms"} | {
        "norms_folded": True
    }


def recorded_licence(training: Mapping[str, Any]) -> str:
    """Return the licence of a file or of the weights that its training started from, or ""."""
    start = str(training.get("start", ""))
    licence = str(training.get("licence") or start.partition("licence ")[2])
    # Each training that started from the one before has put ``start`` in brackets once more.
    while licence.endswith(")") and licence.count(")") > licence.count("("):
        licence = licence[:-1]
    return licence


def migrate_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the state-dict keys of a training state to today's."""
    average = state["ema"]
    return {
        **state,
        "model": migrate_keys(state["model"]),
        "ema": average if average is None else migrate_keys(average),
    }


class _Metadata(BaseModel):
    """The metadata that weights and exported graphs have in common; each value is JSON."""

    config: Json[dict[str, Any]]
    names: Json[list[str]]
    training: Json[dict[str, Any]]


def parse_metadata(
    strings: Mapping[str, str], where: str
) -> tuple[Config, list[str], dict[str, Any]]:
    """Parse the configuration, class names and training record from a file's metadata.

    Raises:
        WeightsError: If a value is missing or damaged; ``where`` names the file.
    """
    try:
        found = _Metadata.model_validate(strings)
        # Renamed here, since keys of older versions need no warning.
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
