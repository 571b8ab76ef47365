"""What several commands make of their options."""

import argparse
from pathlib import Path

from vision.config import Config, change_data
from vision.errors import DataError, WeightsError
from vision.runtime import RuntimeOptions
from vision.weights import SavedDetector, halve, save_weights

__all__ = ["check_output_path", "data_config", "runtime_options", "write_detector"]


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
        if key in {*saved.training, "metrics", "norms"}:
            raise WeightsError(f"--note {key}: the file says that itself; choose another key")
        training[key] = value
    model = halve(saved.model) if options.half else saved.model
    save_weights(options.out, model, saved.config, saved.names, training)


def data_config(options: argparse.Namespace, recorded: Config) -> Config:
    """The data of ``--config`` and the overrides, else the recorded ones."""
    where = f"configuration of {options.weights}"
    return change_data(recorded, options.overrides, options.config, where)


def runtime_options(options: argparse.Namespace) -> RuntimeOptions:
    """What ``--backend``, ``--device``, ``--precision`` and ``--threads`` say."""
    return RuntimeOptions(options.backend, options.device, options.precision, options.threads)
