"""The commands that read or write weights files, for `vision.cli.commands`."""

import argparse
from pathlib import Path
from typing import get_args

import vision.cli.arguments as common
from vision.choices import BACKEND_ALIASES, FORMS, GRAPH_BACKENDS, SOURCES, WEB, Precision
from vision.cli.parser import Command, Parser


def _export(parser: Parser) -> None:
    common.add_weights(parser)
    common.add_data(parser)
    parser.add_argument(
        "--to",
        required=True,
        choices=(*GRAPH_BACKENDS, *BACKEND_ALIASES, WEB),
        help=f"runtime to write for; {WEB}: a page that detects in a browser",
    )
    text = "; ".join(f"{name}: {text}" for name, text in FORMS.items())
    text = f"{text} (default: decoded; nms for {WEB})"
    parser.add_argument("--form", choices=FORMS, help=text)
    text = (
        "fp16: weights stored as float16; int8: quantised weights and activations; LiteRT only:"
        " int8w, quantised weights alone, and int8full, quantised input and outputs too"
    )
    choices = [name for name in get_args(Precision) if name != "bf16"]  # no file is written in it
    parser.add_argument("--precision", choices=choices, default="fp32", help=text)
    text = (
        "images, folders or globs on which to compare with PyTorch and calibrate int8; they need no"
        " annotations (default: compare on data.val, or on images of the package without it;"
        " calibrate on data.train)"
    )
    parser.add_argument("--images", nargs="+", metavar="INPUT", help=text)
    common.add_out(parser, "exported", "folder for the graph, or for the page and its files")


def _benchmark(parser: Parser) -> None:
    common.add_weights(parser)
    common.add_data(parser)
    text = "rounds of measurement; in each, every backend and precision runs on ten images"
    parser.add_argument("--rounds", type=common.positive, default=10, metavar="N", help=text)
    parser.add_argument("--no-map", action="store_true", help="do not measure average precision")
    text = (
        "print the support matrix instead: the forms and precisions of each backend's files, with"
        " their accuracy and speed"
    )
    parser.add_argument("--markdown", action="store_true", help=text)
    common.add_out(parser, "benchmark", "folder for the table and the chart")
    common.add_device(parser)


def _convert(parser: Parser) -> None:
    text = "the project that trained the checkpoint"
    parser.add_argument("source", choices=SOURCES, help=text)
    text = (
        "tensorflow: a frozen graph (.pb), a TensorFlow.js graph model (model.json) or a checkpoint"
        " prefix; torchvision: a .pth, IMAGENET1K_V1 or IMAGENET1K_V2; others: a .pth"
    )
    parser.add_argument("file", metavar="FILE", help=text)
    text = "class names, one a line, or a label map in .pbtxt (default: the project's own)"
    parser.add_argument("--labels", type=Path, metavar="FILE", help=text)
    text = (
        "images, folders, globs or lists of images; if a graph has BatchNorm folded into its"
        " convolutions, estimate its statistics on them, so that training can start from the result"
        " (default: none)"
    )
    parser.add_argument("--images", nargs="+", metavar="INPUT", help=text)
    common.add_weights_out(parser)


def _average(parser: Parser) -> None:
    text = f"{common.WEIGHTS}; the result has the classes of the first"
    parser.add_argument("weights", nargs="+", type=Path, metavar="FILE", help=text)
    text = "weight of each file in the mean; they must add up to 1 (default: equal)"
    parser.add_argument("--fractions", nargs="+", type=float, metavar="F", help=text)
    hidden = argparse.SUPPRESS  # the name in version 0.1
    parser.add_argument("--shares", nargs="+", type=float, help=hidden)
    common.add_weights_out(parser)


def _info(parser: Parser) -> None:
    common.add_weights(parser)
    parser.add_argument("overrides", nargs="*", help=argparse.SUPPRESS)


def _push(parser: Parser) -> None:
    parser.add_argument("weights", type=Path, metavar="W", help=common.WEIGHTS)
    text = "repository on the Hugging Face Hub; if it does not exist, it is created as a public one"
    parser.add_argument("name", metavar="hf://USER/NAME", help=text)
    text = "SPDX identifier, such as mit (default: the licence recorded in the weights, if any)"
    parser.add_argument("--licence", metavar="ID", help=text)


WEIGHTS_COMMANDS = {
    "export": Command(
        "write a detector for other runtimes, and compare it with PyTorch",
        "export --weights runs/finetune --to onnx --images photos/",
        _export,
    ),
    "benchmark": Command(
        "measure speed, memory and average precision on each backend",
        "benchmark --weights runs/finetune --no-map",
        _benchmark,
        has_json=True,
    ),
    "convert": Command(
        "convert another project's checkpoint to a weights file",
        "convert tensorflow frozen_inference_graph.pb --labels map.pbtxt --out W.safetensors",
        _convert,
    ),
    "average": Command(
        "average several weights files of the same network",
        "average runs/finetune start.safetensors --fractions 0.75 0.25 --out W.safetensors",
        _average,
    ),
    "push": Command(
        "share weights on the Hugging Face Hub",
        "push runs/finetune hf://user/name --licence mit",
        _push,
    ),
    "info": Command(
        "show what a weights file contains", "info --weights runs/finetune", _info, has_json=True
    ),
}
