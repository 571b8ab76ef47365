"""The commands: what each does, its arguments, and an example."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from vision.choices import BACKENDS, FORMS, RESULTS, SOURCES, Precision
from vision.cli.arguments import (
    WEIGHTS,
    add_data,
    add_device,
    add_out,
    add_overrides,
    add_runtime,
    add_weights,
    add_weights_out,
    positive,
)
from vision.cli.parser import Parser

__all__ = ["COMMANDS", "Command", "parse"]


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
    options = parser.parse(words)
    if name == "info" and options.overrides:
        parser.error(f"{options.overrides[0]}: info takes weights alone")
    return options


def _train(parser: Parser) -> None:
    text = "a YAML file, or a shipped configuration by its name"
    parser.add_argument("--config", required=True, metavar="F", help=text)
    add_overrides(parser, "train.epochs=50")
    text = "run folder (default: runs/NAME-OF-THE-CONFIG)"
    parser.add_argument("--out", type=Path, metavar="DIR", help=text)
    text = "continue after the last step in the run folder"
    parser.add_argument("--resume", action="store_true", help=text)


def _eval(parser: Parser) -> None:
    text = f"{WEIGHTS} (default: coco, without --detections)"
    parser.add_argument("--weights", type=Path, metavar="W", help=text)
    add_data(parser)
    text = "detections in COCO's result format, in place of weights (default: none)"
    parser.add_argument("--detections", type=Path, metavar="J", help=text)
    text = "with --detections: COCO's instances file (default: none)"
    parser.add_argument("--annotations", type=Path, metavar="J", help=text)
    add_out(parser, None, "folder for metrics.json (default: print only)")
    add_runtime(parser)


def _priors(parser: Parser) -> None:
    text = "a YAML file, or a shipped configuration by its name"
    parser.add_argument("--config", required=True, metavar="F", help=text)
    add_overrides(parser, "data.train.root=MINE")


def _detect(parser: Parser) -> None:
    text = "images, videos, folders, globs, .txt lists of these, stream URLs, camera numbers"
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help=text)
    add_weights(parser)
    add_out(parser, "out", "folder of the results")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    _add_results(parser)
    group = parser.add_argument_group("how it runs")
    text = "every n-th frame of videos"
    group.add_argument("--stride", type=positive, default=1, metavar="N", help=text)
    text = "images worked on at once (default: one for each core)"
    group.add_argument("--workers", type=positive, metavar="N", help=text)
    text = "images a call, for GPUs"
    group.add_argument("--batch", type=positive, default=1, metavar="N", help=text)
    add_runtime(parser)


def _add_results(parser: Parser) -> None:
    group = parser.add_argument_group("what is found and kept")
    text = "lowest score, of all classes or of one; may be repeated (default: 0.4)"
    group.add_argument("--score", action="append", metavar="S|CLASS=S", help=text)
    group.add_argument("--classes", metavar="A,B", help="keep these alone (default: all)")
    text = "most detections of an image (default: as trained)"
    group.add_argument("--max", type=positive, metavar="N", help=text)
    text = "of overlapping boxes (default: as trained)"
    group.add_argument("--suppression", choices=("nms", "soft_nms"), help=text)
    text = "classes suppress each other too"
    group.add_argument("--class-agnostic", action="store_true", help=text)
    text = f"of {', '.join(('pictures', *RESULTS))}"
    group.add_argument("--save", default="pictures,json", metavar="A,B", help=text)
    text = "COCO's instances file whose ids the COCO results take (default: none)"
    group.add_argument("--annotations", type=Path, metavar="J", help=text)
    group.add_argument("--show", action="store_true", help="in a window; q or Escape ends")


def _export(parser: Parser) -> None:
    add_weights(parser)
    add_data(parser)
    graphs = tuple(BACKENDS)[1:]
    parser.add_argument("--to", required=True, choices=graphs, help="runtime to write for")
    text = "; ".join(f"{name}: {text}" for name, text in FORMS.items())
    parser.add_argument("--form", choices=FORMS, default="decoded", help=text)
    precisions, text = get_args(Precision), "of the weights"
    parser.add_argument("--precision", choices=precisions, default="fp32", help=text)
    text = (
        "images, folders or globs to compare and calibrate on, without annotations"
        " (default: data.val to compare on, if it is known, else images that come with the package;"
        " data.train to calibrate int8 on)"
    )
    parser.add_argument("--images", nargs="+", metavar="INPUT", help=text)
    add_out(parser, "exported", "folder of the graph")


def _benchmark(parser: Parser) -> None:
    add_weights(parser)
    add_data(parser)
    text = "turns of ten images"
    parser.add_argument("--rounds", type=positive, default=10, metavar="N", help=text)
    text = "leave the average precision out"
    parser.add_argument("--no-map", action="store_true", help=text)
    add_out(parser, "benchmark", "folder of the table and the picture")
    add_device(parser)


def _convert(parser: Parser) -> None:
    parser.add_argument("source", choices=SOURCES, help="the project that trained them")
    text = (
        "a frozen graph (.pb), TensorFlow.js graph model (model.json) or checkpoint prefix of"
        " TensorFlow, a .pth of the others; IMAGENET1K_V1 or IMAGENET1K_V2 of torchvision"
    )
    parser.add_argument("file", metavar="FILE", help=text)
    text = "class names: a list, or a label map in .pbtxt (default: the project's own)"
    parser.add_argument("--labels", type=Path, metavar="FILE", help=text)
    text = (
        "images, folders, globs or lists that restore the statistics of BatchNorm where a graph"
        " has lost them; predictions stay the same, and training can start from the result"
        " (default: none)"
    )
    parser.add_argument("--images", nargs="+", metavar="INPUT", help=text)
    add_weights_out(parser)


def _average(parser: Parser) -> None:
    text = f"{WEIGHTS}; the first decides the classes"
    parser.add_argument("weights", nargs="+", type=Path, metavar="W", help=text)
    text = "of each file in the mean, 1 in all (default: equal)"
    parser.add_argument("--fractions", nargs="+", type=float, metavar="F", help=text)
    hidden = argparse.SUPPRESS  # the name in version 0.1
    parser.add_argument("--shares", dest="fractions", nargs="+", type=float, help=hidden)
    add_weights_out(parser)


def _info(parser: Parser) -> None:
    add_weights(parser)
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
    "priors": Command(
        "fit the scales of the prior boxes to a data set",
        "priors --config bccd data.train.root=BCCD",
        _priors,
    ),
    "info": Command("show what a weights file contains", "info --weights runs/finetune", _info),
}
