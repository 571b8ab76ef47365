"""An analysis of a made-up detector, of which tests change one thing at a time."""

from dataclasses import replace
from typing import Any

import numpy as np

from vision.metrics import CocoResult, Metrics, VocResult
from vision.metrics.analysis import (
    Analysis,
    CalibrationBin,
    Curve,
    Group,
    Mistake,
    OperatingPoint,
    Suspect,
)

CAT, DOG, COW, OWL = range(4)
NAMES = ("cat", "dog", "cow", "<owl>")
NUM_BOXES = [60, 40, 20, 0]
CONFUSION = [
    # cat dog cow owl missed
    [50, 4, 0, 0, 6],
    [2, 30, 0, 0, 8],
    [0, 0, 15, 0, 5],
    [0, 0, 0, 0, 0],
    [3, 5, 0, 1, 0],
]
COSTS = {
    "classification": 0.03,
    "localisation": 0.02,
    "both": 0.01,
    "duplicate": 0.0,
    "background": 0.04,
    "missed": 0.123,
    "false positives": 0.08,
    "false negatives": 0.14,
}


def analysis(**changes: Any) -> Analysis:  # noqa: ANN401
    """The analysis of a detector of three classes, with other values for some attributes."""
    return replace(
        Analysis(
            metrics(),
            {"voc.mAP50": (0.701, 0.823), "coco.AP": (0.4, 0.5)},
            [curve(0.9), curve(0.8), curve(0.7), None],
            [*(OperatingPoint(0.31 + label / 10, 0.9, 0.8, 0.85) for label in range(3)), None],
            np.array(CONFUSION),
            [Group("small, up to 32 px", 20, 0.5, 0.6), Group("large, over 32 px", 100, 0.9, 0.85)],
            [
                Group("tall, under 1:2", 8, 0.8, 0.75),
                Group("about square, 1:2 to 2:1", 102, 0.8, 0.8),
                Group("wide, over 2:1", 10, 0.8, 0.75),
            ],
            COSTS,
            [CalibrationBin(0.0, 0.7, 50, 0.2, 0.1), CalibrationBin(0.7, 1.0, 100, 0.8, 0.9)],
            0.1,
            MISTAKES,
            [Suspect("missing box", 0, (10.0, 10.0, 30.0, 30.0), CAT, 0.9, None)],
        ),
        **changes,
    )


def metrics(ap: tuple[float, ...] = (0.9, 0.8, 0.6), boxes: list[int] = NUM_BOXES) -> Metrics:
    """COCO's and VOC's metrics; VOC's are of these values."""
    defined = [value if count else None for value, count in zip((*ap, 0.0), boxes, strict=True)]
    coco = CocoResult(defined, 0.456, *[0.5] * 11)
    return Metrics(coco, VocResult(defined, defined, boxes), NAMES, 30)


def curve(precision: float) -> Curve:
    """A curve of one precision, whose recall grows to that precision."""
    steps = np.linspace(0, 1, 11)[1:]
    return Curve(1 - steps, np.full(10, precision), steps * precision)


def mistake(kind: str, label: int, image: int = 0, true: int | None = None) -> Mistake:
    score = None if kind == "missed" else 0.75
    true_box, iou = (None, 0.0) if true is None else ((12.0, 12.0, 32.0, 28.0), 0.6)
    return Mistake(kind, image, (10.0, 10.0, 30.0, 30.0), label, score, true, true_box, iou)


MISTAKES = [
    mistake("classification", CAT, true=DOG),
    mistake("background", DOG),
    mistake("background", CAT, image=1),
    mistake("missed", COW, image=1, true=COW),
    mistake("missed", COW, image=2, true=COW),
]


def suspects(
    kind: str, label: int, count: int, true: int | None = None, score: float = 0.9
) -> list[Suspect]:
    """As many suspects of one kind."""
    its_score = None if kind == "unfound box" else score
    return [Suspect(kind, 0, (10.0, 10.0, 30.0, 30.0), label, its_score, true)] * count
