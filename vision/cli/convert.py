"""``ssdlite convert SOURCE FILE --out W.safetensors [--labels FILE] [--images INPUT...]``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from vision.cli.options import add_output, claim, write_detector
from vision.convert import SOURCES, convert_weights
from vision.errors import WeightsError
from vision.images import read_image, resize
from vision.media import find_inputs
from vision.model import SSDLite
from vision.weights import SavedDetector, refit_norms, save_backbone

__all__ = ["run"]

NUM_REFITTED = 300
"""Images that norms are refitted on, evenly from all that are given."""
MIN_REFITTED = 100
"""With fewer, the maps of one pixel have no variances worth the name."""


def run(argv: Sequence[str] | None = None) -> int:
    """Convert, write and say what came out."""
    parser = argparse.ArgumentParser(
        prog="ssdlite convert", description="Another project's weights as a weights file of ours."
    )
    parser.add_argument("source", choices=SOURCES, help="the project that trained them")
    parser.add_argument(
        "file",
        metavar="FILE",
        help="a frozen graph (.pb), TensorFlow.js graph model (model.json) or checkpoint prefix of"
        " TensorFlow, a .pth of the others; a name of torchvision's weights, such as IMAGENET1K_V2",
    )
    add_output(parser)
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="class names: a list, or a label map (.pbtxt)"
    )
    parser.add_argument(
        "--images",
        nargs="+",
        metavar="INPUT",
        help=f"images, folders, globs or lists, of which {NUM_REFITTED} give BatchNorm its"
        " statistics back where a graph has lost them; answers stay the same, and a training can"
        " start there",
    )
    options = parser.parse_args(argv)
    claim(options.out)
    saved = convert_weights(options.source, options.file, options.labels)
    if isinstance(saved, SavedDetector):
        _write_detector(saved, options)
    elif options.images is not None or options.half or options.note:
        raise WeightsError(
            f"{options.file} is a backbone: leave --images, --half and --note out, they are for"
            " detectors"
        )
    else:
        save_backbone(options.out, saved)
        print(f"{options.out}: a backbone; train with model.init={options.out}")
    return 0


def _write_detector(saved: SavedDetector, options: argparse.Namespace) -> None:
    images = options.images
    if images is not None:
        if not saved.training.pop("norms_folded", False):
            raise WeightsError(f"{saved.training['file']} has its norms intact: leave --images out")
        saved.training["norms"] = f"refitted on {_refit(saved.model, images)} images"
    write_detector(saved, options)
    print(f"{options.out}: a detector of {len(saved.names)} classes")
    for key in ("left out", "norms"):
        if key in saved.training:
            print(f"{key}: {saved.training[key]}")
    if saved.norms_folded:
        print("norms: folded into the convolutions, their statistics lost")
        print("to train from it, convert it with --images: photographs like those to train on")


def _refit(model: SSDLite, inputs: Sequence[str]) -> int:
    """Refit the norms; on how many images."""
    paths = [source.path for source in find_inputs(inputs) if source.kind == "image"]
    if len(paths) < MIN_REFITTED:
        raise WeightsError(
            f"--images {' '.join(inputs)}: {len(paths)} images; norms take {MIN_REFITTED} or more,"
            " like those to train on"
        )
    count = min(len(paths), NUM_REFITTED)
    paths = [paths[index * len(paths) // count] for index in range(count)]
    images = (resize(read_image(path), model.image_size) for path in paths)
    refit_norms(model, (torch.from_numpy(image).permute(2, 0, 1)[None] for image in images))
    return count
