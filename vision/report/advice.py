"""What to do next about a detector: the first advice whose reason the analysis shows."""

# n rows of a confusion matrix: the classes and one more

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from vision.metrics.analysis import Analysis, Group
from vision.report.commands import Commands
from vision.report.kinds import ERRORS

MIN_BOXES = 50
"""Boxes below which an average precision says little."""
MIN_SUSPECTS, SUSPECT_FRACTION = 5, 0.05
"""Suspects of one kind and class, and suspects as a fraction of the boxes, from which the labels
come first."""
RARE_FRACTION = 0.25
"""Boxes of a rare class, as a fraction of the median class's."""
LOW = 0.7
"""What is low: an AP, or a recall, below this fraction of the mean."""
MIN_GROUP = 0.1
"""Boxes of a group of sizes or aspects that an advice can rest on, as a fraction of all."""


class Sentence(NamedTuple):
    """A sentence of the summary.

    Attributes:
        title: The question that it answers.
        text: The answer.
        command: What to paste into a terminal, if there is anything.
        kind: The kind of the pictures to look at, if there are any.
        name: Their class, if it is one.
    """

    title: str
    text: str
    command: str | None = None
    kind: str | None = None
    name: str | None = None


def most_confused(confusion: Int64[ndarray, "n n"]) -> tuple[int, int] | None:
    """The true class and the detected class that are confused most often, if any are."""
    wrong = confusion[:-1, :-1].copy()
    np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return None
    true, found = np.unravel_index(wrong.argmax(), wrong.shape)
    return int(true), int(found)


def advise(analysis: Analysis, commands: Commands) -> Sentence:
    """The first advice that applies."""
    rules = (_nothing_to_measure, _labels, _too_few_boxes, _rare_class)
    for rule in rules:
        advice = rule(analysis, commands)
        if advice is not None:
            return advice
    return _by_cost(analysis, commands)


def _nothing_to_measure(analysis: Analysis, commands: Commands) -> Sentence | None:
    if analysis.metrics.voc.mean is None:
        return Sentence("", "Name images with labelled boxes to evaluate on.", commands.check)
    if not any(analysis.thresholds):
        text = "No detection is right: train it on these classes, or check the labels."
        return Sentence("", text, commands.train)
    return None


def _labels(analysis: Analysis, commands: Commands) -> Sentence | None:
    """Suspects of a class, where they are many."""
    num_boxes, names = sum(analysis.metrics.voc.num_boxes), analysis.metrics.names
    suspects = Counter(
        (suspect.kind, suspect.label, suspect.true_label) for suspect in analysis.suspects
    )
    if len(analysis.suspects) < SUSPECT_FRACTION * num_boxes or not suspects:
        return None
    (kind, label, true), count = suspects.most_common(1)[0]
    if count < MIN_SUSPECTS:
        return None
    what = {
        "missing box": f"{count} confident detections of {names[label]} lie on no box",
        "unfound box": f"{count} boxes of {names[label]} are found by no detection",
        "other class": f"{count} boxes labelled {names[true or 0]} are found as {names[label]}",
    }[kind]
    text = f"Look at the labels first: {what}; {len(analysis.suspects)} labels are suspect in all."
    return Sentence("", text, commands.check, kind, names[label])


def _too_few_boxes(analysis: Analysis, commands: Commands) -> Sentence | None:
    num_boxes = sum(analysis.metrics.voc.num_boxes)
    if num_boxes >= MIN_BOXES:
        return None
    text = (
        f"Label more images to evaluate on: {num_boxes} boxes are too few to tell how good a"
        f" detector is; {MIN_BOXES} are the least."
    )
    return Sentence("", text, commands.evaluate)


def _rare_class(analysis: Analysis, commands: Commands) -> Sentence | None:
    """The class of lowest AP among those of few boxes, if it is low."""
    voc, names = analysis.metrics.voc, analysis.metrics.names
    median = statistics.median(count for count in voc.num_boxes if count)
    rare = [
        (ap, label)
        for label, (ap, count) in enumerate(zip(voc.ap, voc.num_boxes, strict=True))
        if ap is not None and count < RARE_FRACTION * median and ap < LOW * (voc.mean or 0)
    ]
    if not rare:
        return None
    ap, label = min(rare)
    text = (
        f"More pictures of {names[label]}: it has {voc.num_boxes[label]} boxes here where the"
        f" median class has {median:g}, and AP50 {ap:.2f} where the mean is {voc.mean:.2f}."
    )
    return Sentence("", text, commands.train, "missed", names[label])


def _by_cost(analysis: Analysis, commands: Commands) -> Sentence:
    """Against the kind of error that costs most."""
    kind = max(ERRORS, key=lambda key: analysis.error_costs.get(key, 0.0))
    pair = most_confused(analysis.confusion)
    if kind == "missed":
        return _missed(analysis, commands)
    if kind == "background":
        return _background(analysis, commands)
    if kind == "duplicate":
        text = "Suppress more of the boxes that overlap: try a lower nms_iou."
        command = commands.evaluate and f"{commands.evaluate} model.postprocess.nms_iou=0.4"
        return Sentence("", text, command, kind)
    if kind == "localisation" or pair is None:
        text = "Show the network larger images: objects are found, but their boxes fit badly."
        return Sentence("", text, commands.train_larger, kind)
    true, found = (analysis.metrics.names[label] for label in pair)
    text = (
        f"More pictures of {true} and {found} that tell them apart, labelled by one rule:"
        f" {true} is found as {found} {analysis.confusion[pair]} times."
    )
    return Sentence("", text, commands.train, "classification", found)


def _missed(analysis: Analysis, commands: Commands) -> Sentence:
    small = _low_group(analysis.sizes[: len(analysis.sizes) // 2], analysis.sizes)
    if small is not None:
        text = (
            f"Show the network larger images: of the boxes of side {small.name} it finds"
            f" {small.recall:.0%}, of all {_recall(analysis.sizes):.0%}."
        )
        return Sentence("", text, commands.train_larger, "missed")
    ends = [analysis.aspects[0], analysis.aspects[-1]] if analysis.aspects else []
    long = _low_group(ends, analysis.aspects)
    if long is not None:
        text = (
            f"See whether other priors reach long boxes: of those of width to height {long.name} it"
            f" finds {long.recall:.0%}, of all {_recall(analysis.aspects):.0%}."
        )
        return Sentence("", text, commands.priors, "missed")
    label = int(analysis.confusion[:-1, -1].argmax())
    missed, total = analysis.confusion[label, -1], analysis.confusion[label].sum()
    name = analysis.metrics.names[label]
    text = f"More pictures of {name} to train on: {missed} of {total} are missed."
    return Sentence("", text, commands.train, "missed", name)


def _background(analysis: Analysis, commands: Commands) -> Sentence:
    label = int(analysis.confusion[-1, :-1].argmax())
    name = analysis.metrics.names[label]
    text = (
        "Use the best score threshold of each class, and train on pictures without objects in"
        f" which it sees {name}."
    )
    return Sentence("", text, commands.detect, "background", name)


def _low_group(groups: Sequence[Group], of: Sequence[Group]) -> Group | None:
    """The group of lowest recall, if that is low and the group large enough."""
    total = sum(group.num_boxes for group in of)
    low = [
        group
        for group in groups
        if group.recall is not None
        and group.num_boxes >= MIN_GROUP * total
        and group.recall < LOW * _recall(of)
    ]
    return min(low, key=lambda group: group.recall or 0, default=None)


def _recall(groups: Sequence[Group]) -> float:
    """The recall of all boxes."""
    found = sum(group.num_boxes * (group.recall or 0) for group in groups)
    return found / max(1, sum(group.num_boxes for group in groups))
