"""From YAML files and overrides to a checked `Config`, and back."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from vision.choices import CONFIGS
from vision.config.messages import explain
from vision.config.model import ModelConfig
from vision.config.overrides import apply_overrides
from vision.config.renamed import rename_keys
from vision.config.run import Config
from vision.config.yaml12 import dump_yaml, parse_yaml
from vision.errors import ConfigError
from vision.files import MAX_TEXT_BYTES, check_regular, read_text, similar_file


def shipped_configs() -> dict[str, Path]:
    """Name and path of each configuration that comes with the package."""
    return {path.stem: path for path in sorted(CONFIGS.glob("*.yaml"))}


def find_config(name_or_path: str | Path, beside: Path | None = None) -> Path:
    """The file that a path, or the name of a shipped configuration, stands for.

    Args:
        name_or_path: A path, also relative to ``beside``; or a name such as ``quickstart`` or
            ``quickstart.yaml``.
        beside: A folder to look in first.

    Raises:
        ConfigError: If there is no such file and no such name, or it cannot be opened.
    """
    candidates = [place / name_or_path for place in (beside, Path()) if place and name_or_path]
    for candidate in candidates:
        if os.path.isfile(candidate):  # noqa: PTH113 - Path.is_file raises for names too long
            return candidate
    shipped = shipped_configs()
    for name in (str(name_or_path), str(name_or_path).removesuffix(".yaml")):
        if name in shipped:
            return shipped[name]
    reason = next(filter(None, map(_obstacle, candidates)), "")
    hint = "" if reason else similar_file(name_or_path, shipped)
    hint = hint or f"; give a YAML file, or one of the shipped: {', '.join(shipped)}"
    raise ConfigError(f"configuration {name_or_path} {reason or 'does not exist'}{hint}")


def _obstacle(path: Path) -> str:
    """Why what has this path cannot be read; empty if nothing has it."""
    try:
        check_regular(path)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def load_config(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration, with its bases, apply overrides and check the result.

    Args:
        name_or_path: A YAML file, or the name of a shipped configuration.
        overrides: ``dotted.key=value``, the value being YAML; an item of a list by its index.

    Raises:
        ConfigError: With every error that the result has, one a line if there are several.
    """
    path = find_config(name_or_path)
    return config_from_dict(_read(path, ()), overrides, str(path))


def change_post_process(model: ModelConfig, changes: Mapping[str, Any]) -> ModelConfig:
    """The model's configuration with other keys of its post-processing.

    Raises:
        ConfigError: If a key or value cannot be used.
    """
    values = model.model_dump(mode="json")
    values["postprocess"] |= changes
    return config_from_dict({"model": values}).model


def config_from_dict(
    values: dict[Any, Any], overrides: Sequence[str] = (), where: str = "configuration"
) -> Config:
    """Check nested values with overrides applied.

    Where an override sets the ``root`` of a source, ``annotations`` and ``images`` that it had
    before are left out, and logged, unless the new root has them too.

    Args:
        values: Of a file, or recorded.
        overrides: ``dotted.key=value``.
        where: The file or other origin of ``values``, which heads the errors that they have.

    Raises:
        ConfigError: With every error that the result has.
    """
    values = rename_keys(values, where)
    result = apply_overrides(values, overrides)
    try:
        return Config.model_validate(result)
    except ValidationError as error:
        raise ConfigError(explain(error, result, where, overrides, values)) from error


def dump_config(config: Config) -> str:
    """The YAML text of a resolved configuration."""
    return dump_yaml(config.model_dump(mode="json"))


def _read(path: Path, above: tuple[Path, ...]) -> dict[Any, Any]:
    """The values of a file over those of its bases; keys are of any type until they are checked."""
    resolved = path.resolve()
    if resolved in above:
        raise ConfigError(f"{path}: _base_ leads back to the file itself")
    values = _parse_file(path)
    bases = values.pop("_base_", [])
    merged: dict[Any, Any] = {}
    for base in bases if isinstance(bases, list) else [bases]:
        if not isinstance(base, str):
            raise ConfigError(f"{path}: _base_ is a file name or a list of them, not {base!r}")
        merge(merged, _read(find_config(base, beside=path.parent), (*above, resolved)))
    merge(merged, values)
    return merged


def _parse_file(path: Path) -> dict[Any, Any]:
    try:
        values = parse_yaml(read_text(path, MAX_TEXT_BYTES))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict | None):
        raise ConfigError(f"{path}: expected keys and values, found {type(values).__name__}")
    if values and {"names", "nc"} & set(values):
        raise ConfigError(f"{path}: this is YOLO's data.yaml: pass it with --data")
    return rename_keys(values or {}, str(path))


def merge(onto: dict[Any, Any], values: dict[Any, Any]) -> None:
    """Lay ``values`` over ``onto``: mappings key by key, anything else as a whole.

    What changes is copied first: by YAML's anchors, two keys may hold one and the same mapping.
    """
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(onto.get(key), dict):
            onto[key] = dict(onto[key])
            merge(onto[key], value)
        else:
            onto[key] = value
