"""The network of a training that starts from weights: unset keys get the weights' values."""

from collections.abc import Mapping
from typing import Any

from vision.config import PRESETS, ModelConfig, config_from_dict
from vision.weights.file import SavedBackbone, SavedDetector

BACKBONE_KEYS: tuple[str, ...] = ("backbone", "preset", "width_mult", "activation")
DETECTOR_KEYS: tuple[str, ...] = (*BACKBONE_KEYS, "neck", "scores", "image_size")
CONSEQUENCES = {
    "backbone": "no layer fits, so all layers are initialised at random",
    "neck": "the neck and all heads are initialised at random",
    "preset": "padding, pixel normalisation and priors differ, which costs much of their accuracy",
    "width_mult": "no layer fits, so all layers are initialised at random",
    "activation": "the layers were trained with another function, which costs some accuracy",
    "scores": "class heads must be relearned, which costs most of their accuracy",
    "priors": "class and box heads must be relearned, which costs most of their accuracy",
}
"""The consequence of a value that differs from the weights', by key."""


def match_network(
    config: ModelConfig, saved: SavedBackbone | SavedDetector
) -> tuple[ModelConfig, list[str]]:
    """Fill the network keys that the user has not set with the weights' values.

    Args:
        config: The user's configuration; ``model_fields_set`` tells which keys are set.
        saved: The weights from which training starts.

    Returns:
        The configuration with all keys set, and a warning for each key that the user set to
        another value.

    Raises:
        ConfigError: If a key that the user set is incompatible with the weights' other values.
    """
    theirs = saved.config.model if isinstance(saved, SavedDetector) else saved.config
    is_set, values = config.model_fields_set, config.model_dump(mode="json")
    source = theirs.model_dump(mode="json")
    if "backbone" in is_set and config.backbone != theirs.backbone:
        return config, [_warning("backbone", values, source)]
    has_other_neck = "neck" in is_set and config.neck != theirs.neck
    if isinstance(saved, SavedBackbone):
        keys = compared = BACKBONE_KEYS
    elif has_other_neck:
        # A preset with priors of its own has none for the levels of a pyramid.
        takes_fpn = PRESETS[theirs.preset].takes_fpn
        keys = tuple(key for key in BACKBONE_KEYS if key != "preset" or takes_fpn)
        compared = (*BACKBONE_KEYS, "neck")
    else:
        keys, compared = DETECTOR_KEYS, tuple(CONSEQUENCES)
        values["priors"] = source["priors"] | config.priors.model_dump(exclude_unset=True)
    values |= {key: source[key] for key in keys if key not in is_set}
    merged = config_from_dict({"model": values}).model
    # Null scores mean the preset's function, which may be the same.
    values["scores"], source["scores"] = merged.score_function, theirs.score_function
    warnings = [
        _warning(key, values, source)
        for key in compared
        if key in is_set and values[key] != source[key]
    ]
    return merged, warnings


def _warning(key: str, values: Mapping[str, Any], source: Mapping[str, Any]) -> str:
    return (
        f"model.{key} is {_plain(values[key])}, but the weights have {_plain(source[key])}:"
        f" {CONSEQUENCES[key]}; leave model.{key} out to keep the weights' value"
    )


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return str(value)
