"""``ssdlite push``."""

import argparse
from pathlib import Path

from vision.cli.terminal import CommandResult, step
from vision.weights import SHIPPED, find_weights, load_weights
from vision.weights.hub import DEFAULT_FILE, parse_name, push
from vision.weights.migration import recorded_licence
from vision.weights.model_card import model_card

ORIGIN = "TensorFlow Object Detection API"
"""Part of the recorded licence of weights that were trained from those in the package."""


def run(options: argparse.Namespace) -> CommandResult:
    """Upload a detector with its model card."""
    path = find_weights(options.weights)
    saved = load_weights(path)
    card = model_card(saved, parse_name(options.name).repo, options.licence)
    files: dict[str, Path | bytes] = {DEFAULT_FILE: path, "README.md": card.encode()}
    if ORIGIN in recorded_licence(saved.training):
        folder = SHIPPED["coco"].parent
        files |= {name: folder / name for name in ("LICENSE", "NOTICE")}
    address = push(options.name, files)
    print(f"{', '.join(files)} are at {address}; use them with --weights {options.name}")
    words = ("detect", "photos/", "--weights", options.name)
    return CommandResult(steps=[step(*words, why="See what it finds, from any machine:")])
