"""What several commands make of their options."""

import argparse
from pathlib import Path
from typing import Any

from vision.config import Config, config_from_dict, load_config
from vision.config.overrides import key_of, lies_in
from vision.errors import ConfigError, DataError, WeightsError
from vision.runtime import RuntimeOptions
from vision.weights import SavedDetector, find_weights, halve, save_weights

__all__ = ["check_output_path", "data_of", "runtime_options_of", "write_detector"]


def check_output_path(path: Path, *, overwrite: bool) -> None:
    """Make sure, before the work, that a file can be written and replaces nothing unasked.

    Raises:
        DataError: If something is there and ``overwrite`` is not set, or its folder cannot be made.
    """
    try:
        exists = path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"--out {path} cannot be used: {error}") from error
    if exists and not overwrite:
        raise DataError(f"{path} exists; name another --out, or pass --overwrite")


def write_detector(saved: SavedDetector, options: argparse.Namespace) -> None:
    """Write weights as ``--out``, ``--half`` and ``--note`` say.

    Raises:
        WeightsError: If a note has no value, or the file has an entry of its name already.
    """
    training = dict(saved.training)
    for note in options.note:
        key, sign, value = note.partition("=")
        if not (key and sign):
            raise WeightsError("--note takes KEY=VALUE")
        if key in {*training, "metrics", "norms", "norms_folded"}:
            raise WeightsError(f"--note {key}: the file says that itself; choose another key")
        training[key] = value
    model = halve(saved.model) if options.half else saved.model
    save_weights(options.out, model, saved.config, saved.names, training)


def data_of(options: argparse.Namespace, recorded: Config) -> Config:
    """The configuration of ``--config`` and the overrides, or the one recorded with weights.

    Its ``model`` is the recorded one, but for overrides of ``model.postprocess``. Data are those of
    the run folder that the weights lie in, if they do. Elsewhere the paths recorded are those of
    another machine, and only the other keys of the sources that overrides name are taken.

    Raises:
        ConfigError: If it cannot be used.
    """
    of_model = [word for word in options.overrides if word.startswith("model.")]
    others = [word for word in options.overrides if word not in of_model]
    values, where = recorded.model_dump(mode="json"), f"configuration of {options.weights}"
    model = config_from_dict(values, of_model, where).model
    if model.model_copy(update={"postprocess": recorded.model.postprocess}) != recorded.model:
        raise ConfigError(
            "of model.* only model.postprocess can be changed: the weights decide the rest"
        )
    folder = find_weights(options.weights).parent
    run_config = folder / "config.yaml"
    is_run = run_config.is_file() and (folder / "environment.json").is_file()
    if options.config is not None:
        config = load_config(options.config, others)
    else:
        if is_run:
            values["data"] = load_config(run_config).data.model_dump(mode="json")
        else:
            values["data"] |= {
                key: _without_paths(
                    values["data"][key],
                    is_named=any(lies_in(key_of(word), f"data.{key}") for word in others),
                )
                for key in ("train", "val")
            }
        config = config_from_dict(values, others, where)
    return config.model_copy(update={"model": model})


def _without_paths(source: Any, *, is_named: bool) -> Any:  # noqa: ANN401
    """Values of ``data.train`` or ``data.val`` without paths; None if nothing is left of use."""
    if isinstance(source, list):
        kept = [_without_paths(one, is_named=is_named) for one in source]
        return None if None in kept else kept
    if source is None or (source["format"] != "synthetic" and not is_named):
        return None
    return {
        key: value for key, value in source.items() if key not in {"root", "annotations", "images"}
    }


def runtime_options_of(options: argparse.Namespace) -> RuntimeOptions:
    """What ``--backend``, ``--device``, ``--precision`` and ``--threads`` say."""
    return RuntimeOptions(options.backend, options.device, options.precision, options.threads)
