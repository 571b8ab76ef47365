"""Options that several commands have. Each has the same name and meaning in all of them."""

import argparse
from pathlib import Path
from typing import get_args

from vision.choices import BACKENDS, SHIPPED_WEIGHTS, Precision

__all__ = [
    "WEIGHTS",
    "add_data",
    "add_device",
    "add_out",
    "add_overrides",
    "add_runtime",
    "add_weights",
    "add_weights_out",
    "positive",
]

WEIGHTS = (
    "a file that training or export wrote, a run folder (its best weights), or a detector in the"
    f" package: {' or '.join(SHIPPED_WEIGHTS)}"
)


def positive(text: str) -> int:
    """A whole number from 1 on, for `argparse`."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, got {text}")
    return number


positive.__name__ = "number"  # argparse's errors show it


def add_weights(parser: argparse.ArgumentParser) -> None:
    """The detector."""
    default = Path(SHIPPED_WEIGHTS[0])
    parser.add_argument("--weights", type=Path, default=default, metavar="W", help=WEIGHTS)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Where the data are."""
    text = (
        "a YAML file, or a shipped configuration by its name, that says where the data are"
        " (default: the run folder of the weights)"
    )
    parser.add_argument("--config", metavar="F", help=text)
    add_overrides(parser, "data.val.root=VOC2007")


def add_overrides(parser: argparse.ArgumentParser, example: str) -> None:
    """Keys of the configuration."""
    text = f"sets a key of the configuration, such as {example}"
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=text)


def add_out(parser: argparse.ArgumentParser, default: str | None, text: str) -> None:
    """A folder of results."""
    path = None if default is None else Path(default)
    parser.add_argument("--out", type=Path, default=path, metavar="DIR", help=text)
    _add_overwrite(parser)


def add_weights_out(parser: argparse.ArgumentParser) -> None:
    """A weights file to write, for `vision.cli.options.write_detector`."""
    parser.add_argument(
        "--out", type=Path, required=True, metavar="W.safetensors", help="file to write"
    )
    _add_overwrite(parser)
    parser.add_argument("--half", action="store_true", help="write in half precision")
    text = "kept in the file; may be repeated (default: none)"
    parser.add_argument("--note", action="append", default=[], metavar="KEY=VALUE", help=text)


def _add_overwrite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--overwrite", action="store_true", help="replace what --out has already")


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """What the detector runs on, for `vision.cli.options.runtime_options_of`."""
    group = parser.add_argument_group("what the detector runs on")
    text = "runtime (default: the file's own; torch for weights)"
    group.add_argument("--backend", choices=tuple(BACKENDS), help=text)
    add_device(group)
    text = "of the layers (default: the file's own; fp32 for weights)"
    group.add_argument("--precision", choices=get_args(Precision), help=text)
    text = "for each image (default: the backend's choice)"
    group.add_argument("--threads", type=int, metavar="N", help=text)


def add_device(group: argparse._ActionsContainer) -> None:
    """The device, to a parser or a group of it."""
    text = "cpu, cuda, cuda:1, mps (default: CUDA where PyTorch has it, else cpu)"
    group.add_argument("--device", help=text)
