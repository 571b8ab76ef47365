"""``ssdlite convert``."""

import argparse
from collections.abc import Sequence
from dataclasses import replace

import torch

from vision.cli.options import check_output_path, read_images, write_detector
from vision.cli.terminal import CommandResult, step
from vision.convert import convert_weights
from vision.errors import WeightsError
from vision.model import SSDLite
from vision.weights import SavedDetector, refit_norms, save_backbone
from vision.weights.migration import FOLDED

NUM_REFITTED = 300
"""Maximum number of images on which BatchNorm statistics are estimated, evenly spread over the
given ones."""
MIN_REFITTED = 100
"""Minimum number of these images: with fewer, variances of 1 x 1 feature maps are too inexact."""


def run(options: argparse.Namespace) -> CommandResult:
    """Convert, write the weights and describe them."""
    check_output_path(options.out, overwrite=options.overwrite)
    saved = convert_weights(options.source, options.file, options.labels)
    if isinstance(saved, SavedDetector):
        _write_detector(saved, options)
    elif options.images is not None or options.half or options.note:
        raise WeightsError(
            f"{options.file} is a backbone; leave out --images, --half and --note, which are for"
            " detectors only"
        )
    else:
        save_backbone(options.out, saved)
        print(f"{options.out}: a backbone; train with model.init={options.out}")
        start = step("train", "--data", "MINE", f"model.init={options.out}", why="Train from it:")
        return CommandResult(steps=[start])
    words = ("detect", "photos/", "--weights", options.out)
    return CommandResult(steps=[step(*words, why="See what it finds:")])


def _write_detector(saved: SavedDetector, options: argparse.Namespace) -> None:
    images = options.images
    if images is not None:
        if not saved.norms_folded:
            file = saved.training["file"]
            raise WeightsError(f"{file} has its BatchNorm layers intact: leave out --images")
        saved.training["norms"] = f"refitted on {_refit(saved.model, images)} images"
        saved = replace(saved, norms_folded=False)
    write_detector(saved, options)
    print(f"{options.out}: a detector of {len(saved.names)} classes")
    for key in ("left out", "norms"):
        if key in saved.training:
            print(f"{key}: {saved.training[key]}")
    if saved.norms_folded:
        print(f"norms: {FOLDED}")
        print("to train from it, convert it with --images: photographs like those to train on")


def _refit(model: SSDLite, inputs: Sequence[str]) -> int:
    """Estimate the BatchNorm statistics and return the number of images used."""
    images = read_images(inputs, NUM_REFITTED, model.image_size)
    if len(images) < MIN_REFITTED:
        raise WeightsError(
            f"--images {' '.join(inputs)}: {len(images)} images; at least {MIN_REFITTED} are"
            " needed, like those to train on"
        )
    refit_norms(model, (torch.from_numpy(image).permute(2, 0, 1)[None] for image in images))
    return len(images)
