"""Arguments that several commands have, with the same name and meaning in all of them."""

import argparse
from pathlib import Path
from typing import get_args

from vision.choices import BACKENDS, MAX_THREADS, MAX_TILES, SHIPPED_WEIGHTS, Precision

WEIGHTS = (
    "a weights file, a run folder (its best weights), hf://user/name, or a shipped detector:"
    f" {' or '.join(SHIPPED_WEIGHTS)}"
)
DEFAULT_CONFIG = "finetune"
"""The shipped configuration of a command with ``--data`` alone."""
MAX_COUNT = 1_000_000
CONFIG = "a YAML file, or the name of a shipped configuration"


def positive(text: str, limit: int = MAX_COUNT) -> int:
    """A positive integer up to a limit, for `argparse`."""
    is_number = text.isdecimal() and len(text) <= len(str(limit))
    if not is_number or not 1 <= int(text) <= limit:
        raise argparse.ArgumentTypeError(f"expected an integer from 1 to {limit:,}, got {text:.40}")
    return int(text)


def num_threads(text: str) -> int:
    """A number of threads, for `argparse`."""
    return positive(text, MAX_THREADS)


def add_tiles(group: argparse._ActionsContainer) -> None:
    """Tiles, for `vision.detector.Detector`."""
    text = (
        "for small objects: detect in N x N overlapping tiles too, or in as many as the size of the"
        " image allows; it takes as many times as long (default: 1, the image alone)"
    )
    group.add_argument("--tiles", type=_num_tiles, default=1, metavar="N|auto", help=text)


def _num_tiles(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return positive(text, MAX_TILES)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; or auto") from None


def add_weights(parser: argparse.ArgumentParser, text: str = WEIGHTS) -> None:
    """The detector."""
    default = Path(SHIPPED_WEIGHTS[0])
    parser.add_argument("--weights", type=Path, default=default, metavar="FILE", help=text)


def add_folder(parser: argparse.ArgumentParser) -> None:
    """A folder of data, for `vision.config.name_data`."""
    text = "folder of images and annotations, in any layout that docs/data.md lists"
    parser.add_argument("--data", metavar="FOLDER", help=f"{text} (default: none)")


def add_configured_data(parser: argparse.ArgumentParser) -> None:
    """A folder of data, a configuration, or both; `vision.cli.commands.parse` requires one."""
    add_folder(parser)
    text = f"{CONFIG} (default: {DEFAULT_CONFIG}, with --data)"
    parser.add_argument("--config", metavar="FILE", help=text)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Where the data are."""
    add_folder(parser)
    text = f"names the data: {CONFIG} (default: that of the weights' run folder)"
    parser.add_argument("--config", metavar="FILE", help=text)
    add_overrides(parser, "data.val.root=VOC2007")


def add_overrides(parser: argparse.ArgumentParser, example: str) -> None:
    """Keys of the configuration."""
    text = f"set a key of the configuration, such as {example}"
    # With a default it is not said to be required.
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help=text)


def add_out(parser: argparse.ArgumentParser, default: str | None, text: str) -> None:
    """A folder of results."""
    path = None if default is None else Path(default)
    parser.add_argument("--out", type=Path, default=path, metavar="FOLDER", help=text)
    add_overwrite(parser)


def add_weights_out(parser: argparse.ArgumentParser) -> None:
    """A weights file to write, for `vision.cli.options.write_detector`."""
    text = "weights file to write"
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=text)
    add_overwrite(parser)
    parser.add_argument("--half", action="store_true", help="store parameters as float16")
    text = "note to store in the file; may be repeated (default: none)"
    parser.add_argument("--note", action="append", default=[], metavar="KEY=VALUE", help=text)


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Whether results may be replaced."""
    parser.add_argument("--overwrite", action="store_true", help="replace earlier results")


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """What the detector runs on, for `vision.cli.options.runtime_options_of`."""
    group = parser.add_argument_group("runtime")
    text = "runtime (default: that of the file; torch for weights)"
    group.add_argument("--backend", choices=tuple(BACKENDS), help=text)
    add_device(group)
    text = "arithmetic of the layers (default: that of the file; fp32 for weights)"
    group.add_argument("--precision", choices=get_args(Precision), help=text)
    text = "CPU threads of each call (default: the backend's choice)"
    group.add_argument("--threads", type=num_threads, metavar="N", help=text)


def add_device(group: argparse._ActionsContainer) -> None:
    """The device, to a parser or a group of it."""
    text = "cpu, cuda (or gpu), cuda:1 (or 1), mps (default: CUDA if PyTorch has it, else cpu)"
    group.add_argument("--device", help=text)
