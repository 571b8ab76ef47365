"""Load a checked `Config` from YAML files and overrides, and write it back as YAML."""

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
    """Paths of the configurations in the package, by name."""
    return {path.stem: path for path in sorted(CONFIGS.glob("*.yaml"))}


def find_config(name_or_path: str | Path, beside: Path | None = None) -> Path:
    """Find a configuration file by its path, or by the name of a shipped configuration.

    Args:
        name_or_path: A path, relative to ``beside`` or the working directory; or the name of a
            shipped configuration, such as ``quickstart`` or ``quickstart.yaml``.
        beside: A folder to look in first.

    Raises:
        ConfigError: If there is no such file or name, or the path is not a file that can be read.
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
    """The reason why an existing path cannot be read as a file; empty if nothing exists there."""
    try:
        check_regular(path)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def load_config(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration and the files named by its ``_base_``, apply overrides, and check it.

    Args:
        name_or_path: A YAML file, or the name of a shipped configuration.
        overrides: ``dotted.key=value`` each, with a value in YAML. An index in the key selects an
            item of a list: ``data.train.0.root=VOC2007``.

    Raises:
        ConfigError: If the result is invalid; the message lists every error, one per line.
    """
    path = find_config(name_or_path)
    return config_from_dict(_read(path, ()), overrides, str(path))


def change_post_process(model: ModelConfig, changes: Mapping[str, Any]) -> ModelConfig:
    """Return a model's configuration with changed keys of ``model.postprocess``.

    Raises:
        ConfigError: If a key is unknown, or its value is invalid.
    """
    values = model.model_dump(mode="json")
    values["postprocess"] |= changes
    return config_from_dict({"model": values}).model


def config_from_dict(
    values: dict[Any, Any], overrides: Sequence[str] = (), where: str = "configuration"
) -> Config:
    """Apply overrides to nested values, and check the result.

    If an override sets the ``root`` of a data source, the source's earlier ``annotations`` and
    ``images`` are dropped with a warning, unless they exist below the new root.

    Args:
        values: Nested values, from a file or recorded by a run.
        overrides: ``dotted.key=value`` each.
        where: The file or other origin of ``values``, named in error messages.

    Raises:
        ConfigError: If the result is invalid; the message lists every error.
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
    """Merge a file's values onto those of its bases; ``above`` are the files that led here."""
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
    """Merge ``values`` into ``onto`` in place: mappings key by key, other values as a whole.

    Inner mappings are copied before they change: a YAML anchor can make two keys share one.
    """
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(onto.get(key), dict):
            onto[key] = dict(onto[key])
            merge(onto[key], value)
        else:
            onto[key] = value
