"""The commands: what each does, its arguments, and an example."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import vision.cli.arguments as common
from vision.choices import FOLDERS, RESULTS, CocoEngine
from vision.cli.data_commands import DATA_COMMANDS
from vision.cli.elsewhere import OPTIONS as ELSEWHERE
from vision.cli.parser import Command, Parser
from vision.cli.weights_commands import WEIGHTS_COMMANDS


def parse(name: str, words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a command line; options may stand before, between and after the other words.

    Args:
        name: A key of `COMMANDS`.
        words: The words after the command's name; None for those of the process, ``sys.argv[1:]``.
    """
    command = COMMANDS[name]
    summary = f"{command.summary[0].upper()}{command.summary[1:]}."
    parser = Parser(f"ssdlite {name}", summary, f"example:\n  ssdlite {command.example}")
    command.add_all_arguments(parser)
    options = parser.parse(words)
    if name == "info" and options.overrides:
        parser.error(f"{options.overrides[0]}: info takes weights only")
    if name == "detect":
        others = [word for word in options.inputs if f"--{word.partition('=')[0]}" in ELSEWHERE]
        if others and "=" in others[0]:
            parser.error(f"unrecognized arguments: --{others[0]}")  # source=photos/
    if name in {"train", "check", "priors"}:
        if not (options.config or options.data):
            parser.error(_missing_data(options.overrides))
        options.config = options.config or common.DEFAULT_CONFIG
    return options


def _missing_data(words: Sequence[str]) -> str:
    """The message if neither ``--data`` nor ``--config`` is given."""
    folders = [word.removeprefix("data=") for word in words if not _is_key(word)]
    hint = f"; did you mean --data {folders[0]}?" if folders else ""
    return f"name your data with --data FOLDER, or a configuration with --config{hint}"


def _is_key(word: str) -> bool:
    """Whether a word is an override, and not ``data=FOLDER``, as other tools name a folder."""
    return "=" in word and not word.startswith("data=")


def _train(parser: Parser) -> None:
    common.add_configured_data(parser)
    common.add_overrides(parser, "train.epochs=50")
    text = "run folder (default: runs/NAME-OF-THE-CONFIG)"
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=text)
    text = "continue the run from its last checkpoint"
    parser.add_argument("--resume", action="store_true", help=text)


def _eval(parser: Parser) -> None:
    text = f"an exported graph, {common.WEIGHTS} (default: coco, unless --detections is given)"
    parser.add_argument("--weights", type=Path, metavar="FILE", help=text)
    common.add_data(parser)
    text = "evaluate these detections, in COCO's result format, instead of weights (default: none)"
    parser.add_argument("--detections", type=Path, metavar="FILE", help=text)
    text = "with --detections: their annotations, a COCO instances file (default: none)"
    parser.add_argument("--annotations", type=Path, metavar="FILE", help=text)
    text = (
        "write report.html: accuracy, the errors that cost most, what to do next, and all figures"
    )
    parser.add_argument("--report", action="store_true", help=text)
    text = "with --detections and --report: the folder of the images (default: no pictures)"
    parser.add_argument("--images", type=Path, metavar="FOLDER", help=text)
    text = (
        "folder for metrics.json and report.html (default: metrics.json is not written;"
        " report.html is written to eval in the run folder, or to report if there is no run folder)"
    )
    common.add_out(parser, None, text)
    text = "code that computes COCO's metrics: faster gives the same numbers as pycocotools"
    parser.add_argument("--engine", choices=get_args(CocoEngine), default="faster", help=text)
    common.add_tiles(parser)
    common.add_runtime(parser)


def _compare(parser: Parser) -> None:
    text = f"an exported graph, {common.WEIGHTS}; or detections in COCO's result format (.json)"
    parser.add_argument("first", type=Path, metavar="A", help=f"the first detector: {text}")
    parser.add_argument("second", type=Path, metavar="B", help="the second detector, named like A")
    common.add_data(parser)
    text = "with detections: their annotations, a COCO instances file (default: none)"
    parser.add_argument("--annotations", type=Path, metavar="FILE", help=text)
    text = "with detections: the folder of the images (default: no pictures)"
    parser.add_argument("--images", type=Path, metavar="FOLDER", help=text)
    common.add_out(parser, "compare", "folder for compare.html")
    common.add_runtime(parser)


def _detect(parser: Parser) -> None:
    text = (
        "images, videos, folders, globs, .txt lists of these, URLs of images (s3://, gs://,"
        " https://) or streams, or camera numbers"
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help=text)
    common.add_weights(parser, f"an exported graph, {common.WEIGHTS}")
    common.add_out(parser, "out", "folder for the results")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    text = (
        "process every N-th input, starting with number I (from 0); ssdlite merge joins the results"
        " of all shards (default: all inputs)"
    )
    parser.add_argument("--shard", metavar="I/N", help=text)
    _add_results(parser)
    group = parser.add_argument_group("processing")
    text = "detect in every N-th frame of videos"
    group.add_argument("--stride", type=common.positive, default=1, metavar="N", help=text)
    text = "if a stream or camera stops, try this long to open it again (default: do not try)"
    group.add_argument("--reconnect", type=common.positive, metavar="SECONDS", help=text)
    text = "images processed at once (default: one for each core; 4 with a GPU)"
    group.add_argument("--workers", type=common.num_threads, metavar="N", help=text)
    text = "images in each call of the network; more than 1 helps on GPUs"
    group.add_argument("--batch", type=common.positive, default=1, metavar="N", help=text)
    text = "detect on a Ray cluster, in images only; local: on this machine (default: without Ray)"
    group.add_argument("--ray", metavar="ADDRESS|local", help=text)
    common.add_runtime(parser)


def _merge(parser: Parser) -> None:
    text = "the --out folders of all shards of detect --shard, in any order"
    parser.add_argument("shards", nargs="+", type=Path, metavar="OUT", help=text)
    common.add_out(parser, "out", "folder for the results")


def _add_results(parser: Parser) -> None:
    group = parser.add_argument_group("detections and results")
    text = (
        "lowest score to keep, for all classes or for one; best: for each class the score with the"
        " highest F1 on the validation data; may be repeated (default: 0.4)"
    )
    group.add_argument("--score", action="append", metavar="S|CLASS=S|best", help=text)
    text = "keep only these classes; may be repeated (default: all)"
    group.add_argument("--classes", action="append", metavar="A,B", help=text)
    text = "maximum number of detections in an image (default: as trained)"
    group.add_argument("--max", type=common.positive, metavar="N", help=text)
    text = "how overlapping boxes are suppressed (default: as trained)"
    group.add_argument("--suppression", choices=("nms", "soft_nms"), help=text)
    text = "let overlapping boxes of different classes suppress each other too"
    group.add_argument("--class-agnostic", action="store_true", help=text)
    common.add_tiles(group)
    text = f"what to write: {', '.join(('pictures', *RESULTS, *FOLDERS))}"
    group.add_argument("--save", default="pictures,json", metavar="A,B", help=text)
    text = "with --save coco: COCO instances file whose ids the results use (default: none)"
    group.add_argument("--annotations", type=Path, metavar="FILE", help=text)
    text = "show the results in a window, with frames per second; press q or Escape to end"
    group.add_argument("--show", action="store_true", help=text)
    text = "track objects in videos: each gets a number that it keeps from frame to frame"
    group.add_argument("--track", action="store_true", help=text)
    text = (
        "count tracked objects that cross a line (line:x0,y0,x1,y1) or enter a zone"
        " (zone:x0,y0,x1,y1,x2,y2,...), in fractions of the frame or in pixels; may be repeated"
        " (default: none)"
    )
    group.add_argument("--count", action="append", metavar="PLACE", help=text)


COMMANDS = {
    "train": Command(
        "train a detector on your own photographs, or on synthetic images",
        "train --data MINE",
        _train,
        has_json=True,
    ),
    "eval": Command(
        "measure the average precision of a detector, or of any detections",
        "eval --weights runs/finetune data.val.split=test",
        _eval,
        has_json=True,
    ),
    "compare": Command(
        "tell which of two detectors is better on the same images, and where",
        "compare runs/finetune runs/finetune_2 --data MINE",
        _compare,
    ),
    "detect": Command(
        "find objects in images, videos and streams",
        "detect photos/ film.mp4 --weights runs/finetune --score 0.5",
        _detect,
        has_json=True,
    ),
    "merge": Command(
        "join the results of all detect --shard runs into one",
        "merge shards/* --out found",
        _merge,
        has_json=True,
    ),
    **WEIGHTS_COMMANDS,
    **DATA_COMMANDS,
}
