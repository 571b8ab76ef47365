"""The arguments of each command. An option has the same name and meaning in all of them."""

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from vision.choices import BACKENDS, FORMS, RESULTS, SHIPPED_WEIGHTS, SOURCES, Precision
from vision.cli.parser import Parser

__all__ = ["COMMANDS", "Command", "parse"]

_OVERRIDE = re.compile(r"[\w.\s-]*=")
_WEIGHTS = (
    "a file that training or export wrote, a run folder (its best weights), or a detector in the"
    f" package: {' or '.join(SHIPPED_WEIGHTS)}"
)


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        summary: What it does, without a capital and a full stop.
        example: Words that follow ``ssdlite``.
        add_arguments: Adds its arguments to a parser.
    """

    summary: str
    example: str
    add_arguments: Callable[[Parser], None]


def parse(name: str, words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of a command, which may stand before, between and after its other words.

    Args:
        name: A key of `COMMANDS`.
        words: What follows the command's name; None for those of the process.
    """
    command = COMMANDS[name]
    summary = f"{command.summary[0].upper()}{command.summary[1:]}."
    parser = Parser(f"ssdlite {name}", summary, f"example:\n  ssdlite {command.example}")
    command.add_arguments(parser)
    options = parser.parse_intermixed_args(words)
    if hasattr(options, "weights") and hasattr(options, "overrides"):
        _take_bare_weights(parser, options)
    if name == "info" and options.overrides:
        parser.error(f"{options.overrides[0]}: info takes weights alone")
    return options


def _take_bare_weights(parser: Parser, options: argparse.Namespace) -> None:
    """Accept ``ssdlite export W`` for ``ssdlite export --weights W``."""
    bare = [word for word in options.overrides if not _OVERRIDE.match(word)]
    if not bare:
        return
    if bare[1:] or options.weights != parser.get_default("weights"):
        parser.error(f"{bare[-1]}: expected one --weights, and words of the form key=value")
    options.weights = Path(bare[0])
    options.overrides = [word for word in options.overrides if word != bare[0]]


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, got {text}")
    return number


_positive.__name__ = "number"  # argparse's errors name it


def _add_weights(parser: Parser, default: Path | None = Path(SHIPPED_WEIGHTS[0])) -> None:
    parser.add_argument(
        "--weights",
        type=Path,
        default=default,
        metavar="W",
        help=_WEIGHTS if default else f"{_WEIGHTS} (default: coco, without --detections)",
    )


def _add_data(parser: Parser) -> None:
    parser.add_argument(
        "--config",
        metavar="F",
        help="a YAML file, or a shipped configuration by its name, that says where the data are"
        " (default: as recorded with the weights)",
    )
    _add_overrides(parser, "data.val.root=VOC2007")


def _add_overrides(parser: Parser, example: str) -> None:
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help=f"sets a key of the configuration, such as {example}",
    )


def _add_out(parser: Parser, default: str | None, text: str) -> None:
    parser.add_argument(
        "--out", type=Path, default=default and Path(default), metavar="DIR", help=text
    )
    parser.add_argument("--overwrite", action="store_true", help="replace earlier results in --out")


def _add_weights_out(parser: Parser) -> None:
    parser.add_argument(
        "--out", type=Path, required=True, metavar="W.safetensors", help="file to write"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file of --out")
    parser.add_argument("--half", action="store_true", help="write in half precision")
    parser.add_argument(
        "--note",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="kept in the file; may be repeated (default: none)",
    )


def _add_runtime(parser: Parser) -> None:
    group = parser.add_argument_group("what the detector runs on")
    group.add_argument(
        "--backend",
        choices=tuple(BACKENDS),
        help="runtime (default: the file's own; torch for weights)",
    )
    _add_device(group)
    group.add_argument(
        "--precision",
        choices=get_args(Precision),
        help="of the layers (default: the file's own; fp32 for weights)",
    )
    group.add_argument(
        "--threads", type=int, metavar="N", help="for each image (default: the backend's choice)"
    )


def _add_device(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--device", help="cpu, cuda, cuda:1, mps (default: CUDA where PyTorch has it, else cpu)"
    )


def _train(parser: Parser) -> None:
    parser.add_argument(
        "--config",
        required=True,
        metavar="F",
        help="a YAML file, or a shipped configuration by its name",
    )
    _add_overrides(parser, "train.epochs=50")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="run folder (default: runs/NAME-OF-THE-CONFIG)"
    )
    parser.add_argument(
        "--resume", action="store_true", help="continue after the last step in the run folder"
    )


def _eval(parser: Parser) -> None:
    _add_weights(parser, default=None)
    _add_data(parser)
    parser.add_argument(
        "--detections",
        type=Path,
        metavar="J",
        help="detections in COCO's result format, in place of weights (default: none)",
    )
    parser.add_argument(
        "--annotations",
        type=Path,
        metavar="J",
        help="with --detections: COCO's instances file (default: none)",
    )
    _add_out(parser, None, "write metrics.json there (default: print only)")
    _add_runtime(parser)


def _detect(parser: Parser) -> None:
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="images, videos, folders, globs, .txt lists of these, stream URLs, camera numbers",
    )
    _add_weights(parser)
    _add_out(parser, "out", "folder of the results")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    _add_results(parser)
    group = parser.add_argument_group("how it runs")
    group.add_argument(
        "--stride", type=_positive, default=1, metavar="N", help="every n-th frame of videos"
    )
    group.add_argument(
        "--workers",
        type=_positive,
        metavar="N",
        help="images worked on at once (default: one for each core)",
    )
    group.add_argument(
        "--batch", type=_positive, default=1, metavar="N", help="images a call, for GPUs"
    )
    _add_runtime(parser)


def _add_results(parser: Parser) -> None:
    group = parser.add_argument_group("what is found and kept")
    group.add_argument(
        "--score",
        action="append",
        metavar="S|CLASS=S",
        help="lowest score, of all classes or of one; may be repeated (default: 0.4)",
    )
    group.add_argument("--classes", metavar="A,B", help="keep these alone (default: all)")
    group.add_argument(
        "--max",
        type=_positive,
        metavar="N",
        help="most detections of an image (default: as trained)",
    )
    group.add_argument(
        "--suppression",
        choices=("nms", "soft_nms"),
        help="of overlapping boxes (default: as trained)",
    )
    group.add_argument(
        "--class-agnostic", action="store_true", help="classes suppress each other too"
    )
    group.add_argument(
        "--save",
        default="pictures,json",
        metavar="A,B",
        help=f"of {', '.join(('pictures', *RESULTS))}",
    )
    group.add_argument(
        "--annotations",
        type=Path,
        metavar="J",
        help="COCO's instances file whose ids the COCO results take (default: none)",
    )
    group.add_argument("--show", action="store_true", help="in a window; q or Escape ends")


def _export(parser: Parser) -> None:
    _add_weights(parser)
    _add_data(parser)
    parser.add_argument(
        "--to", required=True, choices=tuple(BACKENDS)[1:], help="runtime to write a graph for"
    )
    forms = "; ".join(f"{name}: {text}" for name, text in FORMS.items())
    parser.add_argument("--form", choices=FORMS, default="decoded", help=forms)
    parser.add_argument(
        "--precision", choices=get_args(Precision), default="fp32", help="of the weights"
    )
    parser.add_argument(
        "--images",
        nargs="+",
        metavar="INPUT",
        help="images, folders or globs to compare and calibrate on, without annotations"
        " (default: data.val to compare on, if it is known, else a few that come with the package;"
        " data.train to calibrate int8 on)",
    )
    _add_out(parser, "exported", "folder of the graph")


def _benchmark(parser: Parser) -> None:
    _add_weights(parser)
    _add_data(parser)
    parser.add_argument(
        "--rounds", type=_positive, default=10, metavar="N", help="turns of ten images"
    )
    parser.add_argument("--no-map", action="store_true", help="leave the average precision out")
    _add_out(parser, "benchmark", "folder of the table and the picture")
    _add_device(parser)


def _convert(parser: Parser) -> None:
    parser.add_argument("source", choices=SOURCES, help="the project that trained them")
    parser.add_argument(
        "file",
        metavar="FILE",
        help="a frozen graph (.pb), TensorFlow.js graph model (model.json) or checkpoint prefix of"
        " TensorFlow, a .pth of the others; IMAGENET1K_V1 or IMAGENET1K_V2 of torchvision",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="class names: a list, or a label map in .pbtxt (default: the project's own)",
    )
    parser.add_argument(
        "--images",
        nargs="+",
        metavar="INPUT",
        help="images, folders, globs or lists that restore the statistics of BatchNorm where a"
        " graph has lost them; predictions stay the same, and training can start from the result"
        " (default: none)",
    )
    _add_weights_out(parser)


def _average(parser: Parser) -> None:
    parser.add_argument(
        "weights",
        nargs="+",
        type=Path,
        metavar="W",
        help=f"{_WEIGHTS}; the first decides the classes",
    )
    parser.add_argument(
        "--fractions",
        nargs="+",
        type=float,
        metavar="F",
        help="of each file in the mean, 1 in all (default: equal)",
    )
    parser.add_argument("--shares", dest="fractions", nargs="+", type=float, help=argparse.SUPPRESS)
    _add_weights_out(parser)


def _info(parser: Parser) -> None:
    _add_weights(parser)
    parser.add_argument("overrides", nargs="*", help=argparse.SUPPRESS)


COMMANDS = {
    "train": Command(
        "train a detector on your own data, VOC, COCO or synthetic images",
        "train --config finetune data.train.root=MINE data.val.root=MINE",
        _train,
    ),
    "eval": Command(
        "measure the average precision of a detector, or of any detections",
        "eval --weights runs/finetune data.val.split=test",
        _eval,
    ),
    "detect": Command(
        "find objects in images, videos and streams",
        "detect photos/ film.mp4 --weights runs/finetune --score 0.5",
        _detect,
    ),
    "export": Command(
        "write a detector for other runtimes, and compare it with PyTorch",
        "export --weights runs/finetune --to onnx --images photos/",
        _export,
    ),
    "benchmark": Command(
        "measure speed, memory and average precision on each backend",
        "benchmark --weights runs/finetune --no-map",
        _benchmark,
    ),
    "convert": Command(
        "convert another project's checkpoint to a weights file",
        "convert tensorflow frozen_inference_graph.pb --labels map.pbtxt --out W.safetensors",
        _convert,
    ),
    "average": Command(
        "average several weights files of one network",
        "average runs/finetune start.safetensors --fractions 0.75 0.25 --out W.safetensors",
        _average,
    ),
    "info": Command("show what a weights file contains", "info --weights runs/finetune", _info),
}
