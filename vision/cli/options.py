"""Functions that several commands call with their options."""

# h w: height and width of an image

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from jaxtyping import UInt8
from numpy import ndarray

from vision.cli.arguments import DEFAULT_CONFIG
from vision.config import Config, config_from_dict, load_config, name_data
from vision.config.overrides import is_within, key_of
from vision.detector import Detector
from vision.errors import ConfigError, DataError, WeightsError
from vision.images import read_image, resize
from vision.locks import reserved
from vision.media import find_images
from vision.model import build_post_process
from vision.runtime import RuntimeOptions, open_session
from vision.weights import SavedDetector, find_weights, save_weights, to_half

PATHS = {"root", "annotations", "images"}
"""Keys of a data source whose values differ from machine to machine."""


def check_output_path(path: Path, *, overwrite: bool, option: str = "--out") -> None:
    """Make sure, before the work, that a file can be written, and replaces none unless allowed.

    Nothing is written, so that a command that fails leaves no empty folder behind. ``option`` is
    the option or argument of the command that names the file, for messages.

    Raises:
        DataError: If the file exists and ``overwrite`` is not set, or its folder cannot be created
            or written to.
    """
    _check_place(path, path.absolute().parent, option)
    if path.exists() and not overwrite:
        raise DataError(f"{path} exists; name another {option}, or pass --overwrite")


def check_output_folder(path: Path) -> None:
    """Make sure that the folder of ``--out`` can be created and written to; nothing is written.

    Raises:
        DataError: If it cannot.
    """
    _check_place(path, path.absolute(), "--out")


def _check_place(path: Path, folder: Path, option: str) -> None:
    """Make sure that ``path`` is accessible and ``folder`` can be created and written to."""
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.stat()  # unlike Path.exists, it raises every other error in all Python versions
        nearest = next(place for place in (folder, *folder.parents) if place.exists())
    except OSError as error:
        raise DataError(f"{option} {path} cannot be used: {error.strerror or error}") from error
    if not nearest.is_dir():
        raise DataError(f"{option} {path} cannot be used: {nearest} is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise DataError(f"{option} {path} cannot be used: no permission to write in {nearest}")


@contextmanager
def claimed(files: Sequence[Path], *, overwrite: bool) -> Iterator[None]:
    """Call `check_output_path` for all files, and lock their folders against other processes.

    Raises:
        DataError: If a file cannot be written, or exists and ``overwrite`` is not set.
        ConfigError: If another process has locked a folder.
    """
    for file in files:
        check_output_path(file, overwrite=overwrite)
    with ExitStack() as stack:
        for folder in {file.parent.resolve(): file.parent for file in files}.values():
            stack.enter_context(reserved(folder))
        for file in files:  # Another process may have written it before its lock ended.
            check_output_path(file, overwrite=overwrite)
        yield


def write_detector(saved: SavedDetector, options: argparse.Namespace) -> None:
    """Write weights according to ``--out``, ``--half`` and ``--note``.

    Raises:
        WeightsError: If a note is not of the form KEY=VALUE, or the file already has that key.
    """
    training = dict(saved.training)
    for note in options.note:
        key, sign, value = note.partition("=")
        if not (key and sign):
            raise WeightsError(f"--note {note}: expected KEY=VALUE")
        if key in {*training, "metrics", "norms", "norms_folded"}:
            raise WeightsError(f"--note {key}: the file already has that entry; use another key")
        training[key] = value
    model = to_half(saved.model) if options.half else saved.model
    save_weights(
        options.out, model, saved.config, saved.names, training, norms_folded=saved.norms_folded
    )


def data_words(options: argparse.Namespace) -> list[str]:
    """The words of the command line that name the data."""
    is_default = options.data and options.config == DEFAULT_CONFIG
    pairs = (("--data", options.data), ("--config", None if is_default else options.config))
    named = [word for name, value in pairs if value for word in (name, str(value))]
    return [*named, *options.overrides]


def data_of(options: argparse.Namespace, recorded: Config) -> Config:
    """The configuration of ``--config`` and the overrides, or the one recorded with the weights.

    Its ``model`` is always the recorded one, with overrides of ``model.postprocess``. Without
    ``--config``, its data are those of the run folder that contains the weights. Weights outside a
    run folder may be from another machine, so their data are dropped, unless ``--data`` or
    overrides name a source: keys that these do not set have the recorded values, except paths.

    Raises:
        ConfigError: If it is invalid, or an override changes another key of ``model``.
    """
    values, where = recorded.model_dump(mode="json"), f"configuration of {options.weights}"
    of_model = [word for word in options.overrides if is_within(key_of(word), "model")]
    others = [word for word in options.overrides if word not in of_model]
    others = [*name_data(options.data, recorded.data), *others]
    model = config_from_dict(values, of_model, where).model
    if model.model_copy(update={"postprocess": recorded.model.postprocess}) != recorded.model:
        raise ConfigError(
            "only model.postprocess can be changed in model: the weights decide the rest"
        )
    weights = find_weights(options.weights)
    if options.config is not None:
        config = load_config(options.config, others)
    else:
        if is_in_run_folder(weights):
            run_config = load_config(weights.with_name("config.yaml"))
            values["data"] = run_config.data.model_dump(mode="json")
        else:
            for key in ("train", "val"):
                is_named = any(is_within(key_of(word), f"data.{key}") for word in others)
                values["data"][key] = _without_paths(values["data"][key], is_named=is_named)
        config = config_from_dict(values, others, where)
    return config.model_copy(update={"model": model})


def is_in_run_folder(weights: Path) -> bool:
    """Whether a weights file is in a run folder, whose configuration names data."""
    return all(weights.with_name(name).is_file() for name in ("config.yaml", "environment.json"))


def _without_paths(source: Any, *, is_named: bool) -> Any:  # noqa: ANN401
    """Values of ``data.train`` or ``data.val`` without paths; None if they are useless without."""
    if isinstance(source, list):
        kept = [_without_paths(one, is_named=is_named) for one in source]
        return None if None in kept else kept
    if source is None or (source["format"] != "synthetic" and not is_named):
        return None
    return {key: value for key, value in source.items() if key not in PATHS}


def read_images(
    inputs: Sequence[str], count: int, size: tuple[int, int]
) -> list[UInt8[ndarray, "h w 3"]]:
    """Read at most ``count`` images of the inputs, evenly spread, resized to (height, width)."""
    paths = find_images(inputs)
    count = min(count, len(paths))
    paths = [paths[index * len(paths) // count] for index in range(count)]
    return [resize(read_image(path), size) for path in paths]


def runtime_options_of(options: argparse.Namespace) -> RuntimeOptions:
    """The options ``--backend``, ``--device``, ``--precision`` and ``--threads``."""
    return RuntimeOptions(options.backend, options.device, options.precision, options.threads)


def open_detector(options: argparse.Namespace) -> tuple[Detector, Config]:
    """Load the detector of ``--weights``, with the score threshold of `data_of`; return both."""
    session, metadata = open_session(options.weights, runtime_options_of(options))
    config = data_of(options, metadata.config)
    post_process = build_post_process(config.model)
    return Detector(session, post_process, metadata.names, metadata.training), config


def describe_data(config: Config) -> str:
    """The sources of ``data.val`` as text."""
    sources = config.data.val if isinstance(config.data.val, list) else [config.data.val]
    words = []
    for source in sources:
        keys = source.model_dump() if source else {}
        place = keys.get("root") or keys.get("annotations") or f"{keys.get('format')} images"
        words.append(" ".join(str(word) for word in (place, keys.get("split")) if word))
    return " and ".join(words)
