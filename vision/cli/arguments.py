"""Arguments that several commands share, with the same name and meaning in all of them."""

import argparse
from pathlib import Path
from typing import get_args

from vision.choices import BACKENDS, MAX_THREADS, MAX_TILES, SHIPPED_WEIGHTS, Precision

WEIGHTS = (
    "a weights file, a run folder (its best weights), hf://user/name, or a shipped detector:"
    f" {' or '.join(SHIPPED_WEIGHTS)}"
)
DEFAULT_CONFIG = "finetune"
"""The shipped configuration that is used if ``--data`` is given without ``--config``."""
MAX_COUNT = 1_000_000
CONFIG = "a YAML file, or the name of a shipped configuration"


def positive(text: str, limit: int = MAX_COUNT) -> int:
    """Parse a positive integer up to a limit, for `argparse`."""
    is_number = text.isdecimal() and len(text) <= len(str(limit))
    if not is_number or not 1 <= int(text) <= limit:
        raise argparse.ArgumentTypeError(f"expected an integer from 1 to {limit:,}, got {text:.40}")
    return int(text)


def num_threads(text: str) -> int:
    """Parse a number of threads, for `argparse`."""
    return positive(text, MAX_THREADS)


def add_tiles(group: argparse._ActionsContainer) -> None:
    """Add ``--tiles``, for `vision.detector.Detector`."""
    text = (
        "for small objects: also detect in N x N overlapping tiles of each image; auto: choose"
        " their number by the image's size; each tile takes as long as an image (default: 1, no"
        " tiles)"
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
    """Add ``--weights``, the detector."""
    default = Path(SHIPPED_WEIGHTS[0])
    parser.add_argument("--weights", type=Path, default=default, metavar="FILE", help=text)


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Add ``--data``, a folder for `vision.config.name_data`."""
    text = "folder of images and annotations, in any layout that docs/data.md lists"
    parser.add_argument("--data", metavar="FOLDER", help=f"{text} (default: none)")


def add_configured_data(parser: argparse.ArgumentParser) -> None:
    """Add ``--data`` and ``--config``; `vision.cli.commands.parse` requires at least one."""
    add_folder(parser)
    text = f"{CONFIG} (default: {DEFAULT_CONFIG}, if --data is given)"
    parser.add_argument("--config", metavar="FILE", help=text)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add ``--data``, ``--config`` and overrides, which name the data to run a detector on."""
    add_folder(parser)
    text = f"configuration that names the data: {CONFIG} (default: that of the weights' run folder)"
    parser.add_argument("--config", metavar="FILE", help=text)
    add_overrides(parser, "data.val.root=VOC2007")


def add_overrides(parser: argparse.ArgumentParser, example: str) -> None:
    """Add overrides of keys of the configuration."""
    text = f"set a key of the configuration, such as {example}"
    # Without a default, argparse would list the overrides among the missing arguments.
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help=text)


def add_out(parser: argparse.ArgumentParser, default: str | None, text: str) -> None:
    """Add ``--out``, a folder for results, and ``--overwrite``."""
    path = None if default is None else Path(default)
    parser.add_argument("--out", type=Path, default=path, metavar="FOLDER", help=text)
    add_overwrite(parser)


def add_weights_out(parser: argparse.ArgumentParser) -> None:
    """Add the options of a weights file to write, for `vision.cli.options.write_detector`."""
    text = "weights file to write"
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=text)
    add_overwrite(parser)
    parser.add_argument("--half", action="store_true", help="store parameters as float16")
    text = "note to store in the file; may be repeated (default: none)"
    parser.add_argument("--note", action="append", default=[], metavar="KEY=VALUE", help=text)


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Add ``--overwrite``, which allows the command to replace earlier results."""
    parser.add_argument("--overwrite", action="store_true", help="replace earlier results")


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """Add the options of the runtime, for `vision.cli.options.runtime_options_of`."""
    group = parser.add_argument_group("runtime")
    text = "library that runs the network (default: the exported graph's; torch for weights)"
    group.add_argument("--backend", choices=tuple(BACKENDS), help=text)
    add_device(group)
    text = "number format that layers compute in (default: the exported graph's; fp32 for weights)"
    group.add_argument("--precision", choices=get_args(Precision), help=text)
    text = "CPU threads of each call of the network (default: the backend's choice)"
    group.add_argument("--threads", type=num_threads, metavar="N", help=text)


def add_device(group: argparse._ActionsContainer) -> None:
    """Add ``--device`` to a parser or one of its groups."""
    text = "cpu, cuda (or gpu), cuda:1 (or 1), mps (default: cuda if PyTorch can use it, else cpu)"
    group.add_argument("--device", help=text)
