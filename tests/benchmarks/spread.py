"""Confidence intervals of metrics: ``python -m tests.benchmarks.spread W [W ...] KEY=VALUE ...``.

Each detector is run once over ``data.val``. Then the images are resampled with replacement, in the
same way for all detectors, and voc.mAP50 and coco.AP are computed for each resample (the paired
bootstrap). For each detector its values are printed, and their differences from those of the first
detector and of the one before it, with 95% confidence intervals. A developer's tool, run from a
clone.
"""

# D sets of images: all of them, then each resample

import argparse
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from vision.config import Config, load_config
from vision.data import DetectionDataset, make_loader, read_sources
from vision.detector import Detector
from vision.engine.evaluation import detect_all
from vision.metrics import bootstrap, interval
from vision.structures import Detections, Target


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="+", help="weights, and key=value")
    parser.add_argument("--draws", type=int, default=500)
    options = parser.parse_args()
    files = [Path(word) for word in options.words if "=" not in word]
    overrides = [word for word in options.words if "=" in word]
    config = load_config("voc", overrides)
    values = [bootstrap(*_detect(path, config), options.draws) for path in files]
    for index, (path, current) in enumerate(zip(files, values, strict=True)):
        for column, name in enumerate(("voc.mAP50", "coco.AP")):
            own, first, before = (
                value[:, column] for value in (current, values[0], values[max(index - 1, 0)])
            )
            print(
                f"{path}: {name} {own[0]:.4f}, standard error {np.nanstd(own[1:]):.4f};"
                f" {_difference(own, first)} from the first,"
                f" {_difference(own, before)} from the one before"
            )


def _difference(first: Float64[ndarray, " D"], second: Float64[ndarray, " D"]) -> str:
    """A difference with its 95% confidence interval."""
    low, high = interval(first[1:] - second[1:])
    return f"{first[0] - second[0]:+.4f} [{low:+.4f}, {high:+.4f}]"


def _detect(path: Path, config: Config) -> tuple[list[Detections], list[Target], int]:
    detector = Detector.load(path, score=None)
    annotations = read_sources(config.data.val, "data.val")
    dataset = DetectionDataset(annotations.records, detector.names, detector.image_size)
    loader = make_loader(dataset, config.train.batch_size, 0)
    return detect_all(detector, loader), dataset.targets, len(detector.names)


if __name__ == "__main__":
    main()
