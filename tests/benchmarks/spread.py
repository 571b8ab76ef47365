"""How sure a difference is: ``python -m tests.benchmarks.spread W [W ...] data.val.root=ROOT``.

Each detector is run once over ``data.val``. Then the images are drawn again with replacement, the
same ones for all detectors, and voc.mAP50 and coco.AP are taken anew each time (the paired
bootstrap). Printed are each detector's values, and their differences from the first's and from
those of the detector before it, with the middle 95% of the draws.
"""

# D sets of images: all of them, then each draw

import argparse
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from vision.config import Config, load_config
from vision.data import DetectionDataset, make_loader, read_sources
from vision.engine.evaluation import detect_all
from vision.metrics import bootstrap, interval
from vision.model import build_post_process
from vision.runtime import load_runnable
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
    values = []
    for path in files:
        found, targets, num_classes = _detect(path, config)
        values.append(bootstrap(found, targets, num_classes, options.draws))
    for index, (path, one) in enumerate(zip(files, values, strict=True)):
        for column, name in enumerate(("voc.mAP50", "coco.AP")):
            own, first, before = (
                value[:, column] for value in (one, values[0], values[max(index - 1, 0)])
            )
            print(
                f"{path}: {name} {own[0]:.4f}, standard error {np.nanstd(own[1:]):.4f};"
                f" {_gap(own, first)} from the first, {_gap(own, before)} from the one before"
            )


def _gap(one: Float64[ndarray, " D"], other: Float64[ndarray, " D"]) -> str:
    """A difference with the middle 95% of it over the draws."""
    low, high = interval(one[1:] - other[1:])
    return f"{one[0] - other[0]:+.4f} [{low:+.4f}, {high:+.4f}]"


def _detect(path: Path, config: Config) -> tuple[list[Detections], list[Target], int]:
    runnable = load_runnable(path)
    annotations = read_sources(config.data.val, "data.val")
    size = runnable.session.image_size
    dataset = DetectionDataset(annotations.records, runnable.names, size)
    loader = make_loader(dataset, config.train.batch_size, 0)
    post_process = build_post_process(runnable.config.model)
    return detect_all(runnable.session, post_process, loader), dataset.targets, len(runnable.names)


if __name__ == "__main__":
    main()
