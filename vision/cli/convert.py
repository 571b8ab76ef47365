"""``ssdlite convert SOURCE FILE --out W.safetensors [--labels FILE]``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vision.errors import WeightsError
from vision.model.weights import SOURCES, SavedDetector, convert, save_trunk, save_weights

__all__ = ["run"]


def run(argv: Sequence[str] | None = None) -> int:
    """Convert, write and say what came out."""
    parser = argparse.ArgumentParser(
        prog="ssdlite convert", description="Another project's weights as a weights file of ours."
    )
    parser.add_argument("source", choices=SOURCES, help="the project that trained them")
    parser.add_argument(
        "file",
        metavar="FILE",
        help="a frozen graph (.pb) or checkpoint prefix of TensorFlow, a .pth of the others;"
        " IMAGENET1K_V1 or IMAGENET1K_V2 of torchvision",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="W.safetensors")
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="class names: a list, or a label map (.pbtxt)"
    )
    options = parser.parse_args(argv)
    try:
        is_taken = options.out.exists()
        options.out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(f"--out {options.out} cannot be used: {error}") from error
    if is_taken:
        raise WeightsError(f"{options.out} exists; name another --out, or remove it")
    saved = convert(options.source, options.file, options.labels)
    if isinstance(saved, SavedDetector):
        save_weights(options.out, saved.model, saved.config, saved.names, saved.training)
        print(f"{options.out}: a detector of {len(saved.names)} classes")
        if "left out" in saved.training:
            print(f"left out: {saved.training['left out']}")
    else:
        save_trunk(options.out, saved)
        print(f"{options.out}: a trunk; train with model.init={options.out}")
    return 0
