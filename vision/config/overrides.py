"""Overrides, ``dotted.key=value``: nested values with these set, and which of them sets what."""

import logging
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import yaml

from vision.config.renamed import rename_keys
from vision.config.yaml12 import parse_yaml
from vision.errors import ConfigError

__all__ = ["apply_overrides", "key_of", "lies_in", "name_overrides"]

logger = logging.getLogger(__name__)


def key_of(override: str) -> str:
    """The dotted key that an override sets."""
    return override.partition("=")[0].strip()


def name_overrides(overrides: Sequence[str]) -> str:
    """Overrides in words, on one line; nothing for none."""
    texts = [" ".join(override.split()) for override in overrides]
    return f"override{'s' * (len(texts) > 1)} {', '.join(texts)}" if texts else ""


def lies_in(key: str, section: str) -> bool:
    """Whether ``key`` is ``section`` or below it; the empty section is the whole configuration."""
    return not section or f"{key}.".startswith(f"{section}.")


def apply_overrides(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Other nested values, with the overrides set; ``values`` stay as they are.

    Where an override sets the root of a source, the annotations and images that ``values`` have for
    it go, unless they lie below the new root too: they are those of the old one. So they do where
    it sets the split of a COCO source, whose files are those of one split.

    Raises:
        ConfigError: If an override is malformed, or there is no place for it.
    """
    result = dict(values)
    for override in overrides:
        _apply(result, override)
    keys = list(dict.fromkeys(map(key_of, overrides)))
    for source in {key.rpartition(".")[0] for key in keys if key.startswith("data.")}:
        if {f"{source}.annotations", f"{source}.images"} <= set(keys):
            _drop_base(result, source, keys)
    for key in keys:
        source, _, name = key.rpartition(".")
        if source.startswith(("data.train", "data.val")) and name in {"root", "split"}:
            _drop_stale(result, values, source, name, overrides)
    return result


def _apply(values: dict[str, Any], override: str) -> None:
    try:
        _set(values, override)
    except ConfigError as error:
        raise ConfigError(f"{name_overrides([override])}: {error}") from error


def _set(values: dict[str, Any], override: str) -> None:
    """Set one ``dotted.key=value``; what changes below ``values`` is copied first.

    By YAML's anchors, two keys may hold one and the same mapping.
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
    """What ``node`` has under ``step``, None if nothing; an error if it cannot have it."""
    at = ".".join(key.split(".")[:depth])
    if isinstance(node, list):
        if not step.isdecimal() or int(step) >= len(node):
            whole = f"{at}={{...}}" if node and isinstance(node[0], dict) else f"{at}=[...]"
            raise ConfigError(
                f"{at} is a list of {len(node)}; name an item by its index,"
                f" such as {at}.0, or replace the whole list: {whole}"
            )
        return node[int(step)]
    if not isinstance(node, dict):
        raise ConfigError(f"{at} is {node!r} and has no parts")
    return node.get(step)


def _drop_base(values: Mapping[str, Any], source: str, keys: Sequence[str]) -> None:
    """Take root and split out of a source both of whose files overrides set, unless they do too."""
    node = _find(values, source)
    for name in ("root", "split"):
        if isinstance(node, dict) and f"{source}.{name}" not in keys:
            node.pop(name, None)


def _drop_stale(
    values: dict[str, Any],
    before: Mapping[str, Any],
    source: str,
    changed: str,
    overrides: Sequence[str],
) -> None:
    """Take out of a source what belongs to the root or split that it had before, and say so.

    What an override sets stays.
    """
    old, new = _find(before, source), _find(values, source)
    if not isinstance(old, dict) or not isinstance(new, dict):
        return
    if new.get(changed) == old.get(changed) or (changed, new.get("format")) == ("split", "voc"):
        return
    stale = {
        name: old[name]
        for name in ("annotations", "images")
        if old.get(name)
        and not any(lies_in(f"{source}.{name}", key_of(override)) for override in overrides)
        and (changed == "split" or not _is_below(old[name], new.get("root")))
    }
    for name in stale:
        new.pop(name, None)
    if stale:
        logger.warning(
            "%s.%s is set, so the %s recorded before are left out: %s",
            source,
            changed,
            " and ".join(stale),
            ", ".join(map(str, stale.values())),
        )


def _find(values: Any, key: str) -> Any:  # noqa: ANN401
    """What there is at a dotted key, None if nothing."""
    try:
        for step in key.split("."):
            values = values[int(step) if isinstance(values, list) else step]
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return values


def _is_below(name: object, root: object) -> bool:
    """Whether a folder has a file or folder of that name, or of that absolute path."""
    if not isinstance(name, str) or not isinstance(root, str):
        return True
    path = Path(root).absolute() / name
    return path.exists() and path.is_relative_to(Path(root).absolute())
