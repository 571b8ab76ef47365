"""What to do next about a detector: each advice whose reason the analysis shows."""

# side = number of classes + 1

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from vision.metrics.analysis import Analysis, Group
from vision.report.commands import Commands
from vision.report.data_advice import (
    CONFIDENT,
    LOW,
    MIN_SWAPPED,
    THEN_TRAIN,
    num_swapped,
    on_few_boxes,
    on_labels,
    on_rare_class,
)
from vision.report.kinds import ERRORS, Sentence

MIN_MEAN = 0.05
"""voc.mAP50 below which there is no point in telling kinds of errors apart."""
MIN_GROUP = 0.1
"""Boxes of a group of sizes or aspects that an advice can rest on, as a fraction of all."""


def most_confused(confusion: Int64[ndarray, "side side"]) -> tuple[int, int] | None:
    """The true class and the detected class that are confused most often, if any are."""
    wrong = confusion[:-1, :-1].copy()
    np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return None
    true, found = np.unravel_index(wrong.argmax(), wrong.shape)
    return int(true), int(found)


def advise(analysis: Analysis, commands: Commands) -> list[Sentence]:
    """Each advice that applies, the most urgent first."""
    if analysis.metrics.voc.mean is None:
        return [Sentence("", "Name images with labelled boxes to evaluate on.", commands.check)]
    longer = commands.train_longer or commands.train
    if not any(analysis.thresholds):
        text = (
            "No detection is right: train it on these classes, for longer (train.epochs) if that is"
            " done, or check the labels."
        )
        return [Sentence("", text, longer)]
    if analysis.metrics.voc.mean < MIN_MEAN:
        text = "It has learnt little: train longer (train.epochs), and check the labels."
        return [Sentence("", text, longer)]
    labels, by_cost = list(on_labels(analysis, commands)), _by_cost(analysis, commands)
    is_said = any(sentence.kind == by_cost.kind == "other class" for sentence in labels)
    return [
        *_on_few_epochs(commands),
        *labels,
        *on_few_boxes(analysis, commands),
        *on_rare_class(analysis, commands),
        *([] if is_said else [by_cost]),
    ]


def _on_few_epochs(commands: Commands) -> Iterator[Sentence]:
    """A short training says little about the data."""
    if commands.few_epochs:
        epochs = "1 epoch is" if commands.few_epochs == 1 else f"{commands.few_epochs} epochs are"
        text = f"Train longer: {epochs} few for these images, and what it lacks may be time alone."
        yield Sentence("", text, commands.train_longer)


def _by_cost(analysis: Analysis, commands: Commands) -> Sentence:
    """Against the kind of error that costs most."""
    kind = max(ERRORS, key=lambda key: analysis.error_costs.get(key, 0.0))
    pair = most_confused(analysis.confusion)
    if kind == "background":
        return _background(analysis, commands)
    if kind == "duplicate":
        text = "Suppress more of the boxes that overlap: try a lower nms_iou."
        command = commands.evaluate and f"{commands.evaluate} model.postprocess.nms_iou=0.4"
        return Sentence("", text, command, kind)
    if kind in {"missed", "localisation"} or pair is None:
        return _sizes(analysis, commands, kind) or _fallback(analysis, commands, kind)
    true, found = (analysis.metrics.names[label] for label in pair)
    if (swapped := num_swapped(analysis, pair)) >= MIN_SWAPPED:
        text = (
            f"Look at the labels of {true} and {found}: {swapped} boxes of one are found as the"
            f" other with a score of {CONFIDENT} and more. Where the labels are right, add pictures"
            " of both that tell them apart."
        )
        return Sentence("", text, commands.check, "other class", true)
    text = (
        f"More pictures of {true} and {found} that tell them apart, labelled by one rule:"
        f" {true} is found as {found} {analysis.confusion[pair]} times. {THEN_TRAIN}"
    )
    return Sentence("", text, commands.train, "classification", found)


def _sizes(analysis: Analysis, commands: Commands, kind: str) -> Sentence | None:
    """Where small or long objects are found much less often than others."""
    small = _low_group(analysis.sizes[: len(analysis.sizes) // 2], analysis.sizes)
    if small is not None:
        text = (
            f"Show the network larger images: of the boxes of {small.name.rpartition(', ')[2]} it"
            f" finds {small.recall:.0%}, of all {_recall(analysis.sizes):.0%}."
        )
        return Sentence("", text, commands.train_larger, kind)
    ends = [analysis.aspects[0], analysis.aspects[-1]] if analysis.aspects else []
    long = _low_group(ends, analysis.aspects)
    if long is not None:
        text = (
            f"See whether other priors reach long boxes: of {long.name.partition(', ')[0]} ones it"
            f" finds {long.recall:.0%}, of all {_recall(analysis.aspects):.0%}."
        )
        return Sentence("", text, commands.priors, kind)
    return None


def _fallback(analysis: Analysis, commands: Commands, kind: str) -> Sentence:
    """Where no size stands out."""
    if kind != "missed":
        text = "Show the network larger images: objects are found, but their boxes fit badly."
        return Sentence("", text, commands.train_larger, kind)
    label = int(analysis.confusion[:-1, -1].argmax())
    missed, total = analysis.confusion[label, -1], analysis.confusion[label].sum()
    name = analysis.metrics.names[label]
    text = f"More pictures of {name} to train on: {missed} of {total} are missed. {THEN_TRAIN}"
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
