"""Command lines in which options and trailing words may come in any order."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from vision.config import Config, config_from_dict, load_config
from vision.errors import ConfigError, WeightsError
from vision.runtime import Backend, Precision, RuntimeOptions
from vision.weights import SHIPPED, SavedDetector, halve, save_weights

__all__ = [
    "WEIGHTS_HELP",
    "add_data",
    "add_engine",
    "add_output",
    "claim",
    "data_of",
    "parse",
    "positive",
    "runtime_options_of",
    "write_detector",
]


WEIGHTS_HELP = (
    "a file that training or export wrote, a run folder (its best weights), or a detector in the"
    f" package: {' or '.join(SHIPPED)}"
)


def positive(text: str) -> int:
    """A whole number from 1 on, for `argparse`."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, got {text}")
    return number


def claim(out: Path) -> None:
    """Make sure that weights can be written to ``--out`` and replace nothing.

    Raises:
        WeightsError: If something is there, or its folder cannot be made.
    """
    try:
        is_taken = out.exists()
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(f"--out {out} cannot be used: {error}") from error
    if is_taken:
        raise WeightsError(f"{out} exists; name another --out, or remove it")


def add_output(parser: argparse.ArgumentParser) -> None:
    """Options of what a command writes weights to, for `write_detector`."""
    parser.add_argument("--out", type=Path, required=True, metavar="W.safetensors")
    parser.add_argument("--half", action="store_true", help="write in half precision")
    parser.add_argument(
        "--note", action="append", default=[], metavar="KEY=VALUE", help="kept in the file"
    )


def write_detector(saved: SavedDetector, options: argparse.Namespace) -> None:
    """Write weights as the options of `add_output` say.

    Raises:
        WeightsError: If a note is none, or the file says that itself.
    """
    notes = [note.partition("=") for note in options.note]
    if not all(key and sign for key, sign, _ in notes):
        raise WeightsError("--note takes KEY=VALUE")
    training = dict(saved.training)
    for key, _, value in notes:
        if key in {*training, "metrics", "norms", "norms_folded"}:
            raise WeightsError(f"--note {key}: the file says that itself; choose another key")
        training[key] = value
    model = halve(saved.model) if options.half else saved.model
    save_weights(options.out, model, saved.config, saved.names, training)


def add_data(parser: argparse.ArgumentParser) -> None:
    """The option that says where data are, beside words such as ``data.val.split=test``."""
    parser.add_argument(
        "--config", metavar="F", help="where the data are (default: as recorded with the weights)"
    )


def data_of(options: argparse.Namespace, recorded: Config) -> Config:
    """The configuration of `add_data` and the words ``overrides``, or the one recorded.

    Its ``model`` is the recorded one, but for overrides of ``model.postprocess``.

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
    if options.config is not None:
        config = load_config(options.config, others)
    else:
        config = config_from_dict(values, others, where)
    return config.model_copy(update={"model": model})


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Options that say what the detector runs on."""
    group = parser.add_argument_group("what the detector runs on")
    group.add_argument(
        "--backend", choices=get_args(Backend), help="default: the file's own; torch for weights"
    )
    group.add_argument("--device", help="cpu, cuda, ... (default: CUDA where PyTorch has it)")
    group.add_argument(
        "--precision", choices=get_args(Precision), help="default: the file's own; fp32 for weights"
    )
    group.add_argument("--threads", type=int, metavar="N", help="for each image")


def runtime_options_of(options: argparse.Namespace) -> RuntimeOptions:
    """What the options of `add_engine` say."""
    return RuntimeOptions(options.backend, options.device, options.precision, options.threads)


def parse(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    words: str,
    help_text: str,
    nargs: str = "*",
) -> argparse.Namespace:
    """Parse a command line whose words without a dash go to the attribute ``words``."""
    parser.add_argument(words, nargs=nargs, help=help_text)
    return parser.parse_intermixed_args(argv)
