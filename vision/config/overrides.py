"""Overrides, ``dotted.key=value``: apply them to nested values, and name them in messages."""

import json
import logging
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import yaml

from vision.config.data import DataConfig, auto_sources
from vision.config.renamed import rename_keys
from vision.config.yaml12 import parse_yaml
from vision.errors import ConfigError
from vision.files import expand_home

logger = logging.getLogger(__name__)

_PLACES = ("root", "split")
_FILES = ("annotations", "images")


def key_of(override: str) -> str:
    """The dotted key that an override sets."""
    return override.partition("=")[0].strip()


def name_overrides(overrides: Sequence[str]) -> str:
    """Overrides on one line for a message; empty if there are none."""
    texts = [" ".join(override.split()) for override in overrides]
    return f"override{'s' * (len(texts) > 1)} {', '.join(texts)}" if texts else ""


def is_within(key: str, section: str) -> bool:
    """Whether ``key`` is ``section`` or in it; an empty section is the whole configuration."""
    return not section or f"{key}.".startswith(f"{section}.")


def name_data(folder: str | Path | None, recorded: DataConfig | None = None) -> list[str]:
    """The overrides that ``--data FOLDER`` is short for.

    Args:
        folder: The folder; None for no overrides.
        recorded: Data of an earlier run, whose ``seed`` and ``val_below`` for the folder are kept.
    """
    if folder is None:
        return []
    recorded = recorded or DataConfig()
    kept: dict[str, object] = {}
    for source in auto_sources(recorded.train, recorded.val):
        if source.is_at(str(folder)):
            kept = source.model_dump(include={"seed", "val_below"})
    values = {"format": "auto", "root": str(folder), **kept}
    return [
        f"data.{key}={json.dumps(values | {'split': key}, ensure_ascii=False)}"
        for key in ("train", "val")
    ]


def apply_overrides(values: Mapping[Any, Any], overrides: Sequence[str]) -> dict[Any, Any]:
    """Return a copy of nested values with the overrides set.

    Raises:
        ConfigError: If an override is malformed, or its key leads through a value without keys.
    """
    result = dict(values)
    try:
        for override in overrides:
            _set(result, override)
    except ConfigError as error:
        raise ConfigError(f"{name_overrides([override])}: {error}") from error
    keys = [key_of(override) for override in overrides]
    sources = [key.rpartition(".")[0] for key in keys if key.startswith("data.")]
    for source in dict.fromkeys(sources):
        _drop_replaced(result, values, source, keys)
    return result


def _set(values: dict[Any, Any], override: str) -> None:
    """Set one ``dotted.key=value`` in place.

    Inner values are copied before they change: a YAML anchor can make two keys share one.
    """
    key, (_, equals, text) = key_of(override), override.partition("=")
    if not equals or not key:
        raise ConfigError("expected key=value, such as train.epochs=50")
    try:
        value = parse_yaml(text)
    except (yaml.YAMLError, ValueError) as error:
        reason = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"the value is not YAML ({reason})") from error
    *parents, last = key.split(".")
    if not all((*parents, last)):
        raise ConfigError("a part of the dotted key is empty")
    node: Any = values
    for depth, step in enumerate(parents):
        child = _get(node, step, key, depth)
        child = {} if child is None else copy(child)
        node[int(step) if isinstance(node, list) else step] = child
        node = child
    _get(node, last, key, len(parents))
    if isinstance(node, list):
        node[int(last)] = value
    else:
        node |= rename_keys({last: value}, f"override {override}", ".".join(parents))


def _get(node: Any, step: str, key: str, depth: int) -> Any:  # noqa: ANN401
    """The value of ``node`` at ``step``; None if a mapping lacks it, ConfigError for others."""
    at = ".".join(key.split(".")[:depth])
    if isinstance(node, list):
        if not step.isdecimal() or int(step) >= len(node):
            example = f"{at}={{...}}" if node and isinstance(node[0], dict) else f"{at}=[...]"
            raise ConfigError(
                f"{at} is a list of {len(node)}; name an item by its index,"
                f" such as {at}.0, or replace the whole list: {example}"
            )
        return node[int(step)]
    if not isinstance(node, dict):
        raise ConfigError(f"{at} is {node!r} and has no keys")
    return node.get(step)


def _drop_replaced(
    values: dict[Any, Any], before: Mapping[Any, Any], source: str, keys: Sequence[str]
) -> None:
    """Remove earlier keys of a data source that its overrides make obsolete, in place.

    Overrides of both ``annotations`` and ``images`` remove ``root`` and ``split`` of VOC and COCO
    sources, which do not need them then. A new ``root`` or ``seed`` removes ``val_below``. A new
    ``root`` removes ``annotations`` and ``images`` that do not exist below it; a new ``split``
    removes both, except in VOC's layout. Keys that an override sets are kept.
    """
    old, new = _find(before, source), _find(values, source)
    if not isinstance(new, dict):
        return
    given = {
        name
        for name in (*_PLACES, *_FILES, "val_below")
        if any(is_within(f"{source}.{name}", key) for key in keys)
    }
    if given.issuperset(_FILES) and new.get("format") in {"voc", "coco"}:
        for name in set(_PLACES) - given:
            new.pop(name, None)
        return
    if not isinstance(old, dict):
        return
    changed = [name for name in _PLACES if name in given and new.get(name) != old.get(name)]
    is_other_division = "root" in changed or new.get("seed", 0) != old.get("seed", 0)
    if is_other_division and "val_below" not in given:
        new.pop("val_below", None)
    is_other_split = "split" in changed and new.get("format") != "voc"
    dropped = {
        name: new.pop(name)
        for name in _FILES
        if new.get(name)
        and name not in given
        and (is_other_split or ("root" in changed and not _is_below(new[name], new.get("root"))))
    }
    if dropped:
        logger.warning(
            "%s.%s is set, so the %s recorded before are left out: %s",
            source,
            changed[0],
            " and ".join(dropped),
            ", ".join(map(str, dropped.values())),
        )


def _find(values: Any, key: str) -> Any:  # noqa: ANN401
    """The value at a dotted key; None if there is none."""
    try:
        for step in key.split("."):
            values = values[int(step) if isinstance(values, list) else step]
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return values


def _is_below(name: object, root: object) -> bool:
    """Whether ``name``, relative to ``root`` or absolute, exists below ``root``."""
    if not isinstance(name, str) or not isinstance(root, str):
        return True
    folder = expand_home(root).absolute()
    path = folder / name
    return path.exists() and path.is_relative_to(folder)
