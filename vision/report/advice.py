"""Advice: what to do next about a detector, as far as its analysis gives a reason."""

# side = number of classes + 1

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from vision.formats import counted
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

MIN_COST = 0.005
"""AP50 below which the cost of a kind of error is not worth naming."""
MIN_MEAN = 0.05
"""voc.mAP50 below which kinds of errors are not worth telling apart."""
MIN_GROUP = 0.1
"""Least fraction of all boxes in a group of sizes or aspects that advice can be based on."""
NOTHING_LEFT = "No kind of error stands out: try the detector on photographs that are new to it."


def most_confused(confusion: Int64[ndarray, "side side"]) -> tuple[int, int] | None:
    """The true and the detected class that are confused most often; None without confusions."""
    wrong = confusion[:-1, :-1].copy()
    np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return None
    true, found = np.unravel_index(wrong.argmax(), wrong.shape)
    return int(true), int(found)


def most_frequent(analysis: Analysis, kind: str) -> tuple[str | None, int]:
    """The class with the most mistakes of a kind, and their number; None and 0 without any."""
    labels = Counter(mistake.label for mistake in analysis.mistakes if mistake.kind == kind)
    for label, count in labels.most_common(1):
        return analysis.metrics.names[label], count
    return None, 0


def advise(analysis: Analysis, commands: Commands) -> list[Sentence]:
    """All advice that applies, the most urgent first; at least one sentence."""
    if analysis.metrics.voc.mean is None:
        text = "Evaluate on images with labelled boxes; a check shows what these data contain."
        return [Sentence("", text, commands.check)]
    longer = commands.train_longer or commands.train
    if not any(analysis.thresholds):
        text = (
            "No detection is right. If the detector was not trained on these classes, train it on"
            " them; if it was, train longer (train.epochs) and check the labels."
        )
        return [Sentence("", text, longer)]
    if analysis.metrics.voc.mean < MIN_MEAN:
        text = (
            "The detector has learnt too little to tell its errors apart: train longer"
            " (train.epochs), and check the labels."
        )
        return [Sentence("", text, longer)]
    labels, by_cost = list(on_labels(analysis, commands)), _by_cost(analysis, commands)
    if by_cost and any(sentence.kind == by_cost.kind == "other class" for sentence in labels):
        by_cost = None
    advice = [
        *_on_few_epochs(commands),
        *labels,
        *on_few_boxes(analysis, commands),
        *on_rare_class(analysis, commands),
        *([by_cost] if by_cost else []),
    ]
    return advice or [Sentence("", NOTHING_LEFT, commands.detect)]


def _on_few_epochs(commands: Commands) -> Iterator[Sentence]:
    """Advice to train longer, because the errors of a short training say little about the data."""
    if commands.few_epochs:
        epochs = "1 epoch is" if commands.few_epochs == 1 else f"{commands.few_epochs} epochs are"
        text = f"Train longer: {epochs} too few for so many images, which may be all that is wrong."
        yield Sentence("", text, commands.train_longer)


def _by_cost(analysis: Analysis, commands: Commands) -> Sentence | None:
    """Advice against the kind of error that costs most; None if all cost next to nothing."""
    kind = max(ERRORS, key=lambda key: analysis.error_costs.get(key, 0.0))
    if analysis.error_costs.get(kind, 0.0) < MIN_COST:
        return None
    if kind == "background":
        return _background(analysis, commands)
    if kind == "duplicate":
        text = "Suppress more of the overlapping detections of a class: try a lower nms_iou."
        command = commands.evaluate and f"{commands.evaluate} model.postprocess.nms_iou=0.4"
        return Sentence("", text, command, kind)
    pair = most_confused(analysis.confusion)
    if kind in {"missed", "localisation"} or (kind == "both" and pair is None):
        return _sizes(analysis, commands, kind) or _fallback(analysis, commands, kind)
    return _confusion(analysis, commands, pair)


def _confusion(analysis: Analysis, commands: Commands, pair: tuple[int, int] | None) -> Sentence:
    """Advice against confusions of classes, most often of the two in ``pair``."""
    if pair is None:  # The confusion matrix, at the best thresholds, has none.
        text = f"Add training pictures that show how the classes differ. {THEN_TRAIN}"
        return Sentence("", text, commands.train, "classification")
    true, found = (analysis.metrics.names[label] for label in pair)
    if (swapped := num_swapped(analysis, pair)) >= MIN_SWAPPED:
        text = (
            f"Check the labels of {true} and {found}: {swapped} boxes of one class are detected as"
            f" the other with a score of at least {CONFIDENT}. If the labels are right, add"
            " training pictures of both that show how they differ."
        )
        return Sentence("", text, commands.check, "other class", true)
    times = counted(int(analysis.confusion[pair]), "time")
    text = (
        f"Add training pictures of {true} and {found} that show how they differ, labelled by one"
        f" rule: {true} is detected as {found} {times}. {THEN_TRAIN}"
    )
    return Sentence("", text, commands.train, "classification", found)


def _sizes(analysis: Analysis, commands: Commands, kind: str) -> Sentence | None:
    """Advice if small or long objects are found much less often than others; else None."""
    small = _low_group(analysis.sizes[: len(analysis.sizes) // 2], analysis.sizes)
    if small is not None:
        text = (
            f"Train with larger images (model.image_size): of the boxes with a size of"
            f" {small.name.rpartition(', ')[2]}, {small.recall:.0%} are found, but"
            f" {_recall(analysis.sizes):.0%} of all boxes."
        )
        return Sentence("", text, commands.train_larger, kind)
    ends = [analysis.aspects[0], analysis.aspects[-1]] if analysis.aspects else []
    long = _low_group(ends, analysis.aspects)
    if long is not None:
        text = (
            "Check whether other priors (anchor boxes) would match long boxes better:"
            f" {long.recall:.0%} of the {long.name.partition(', ')[0]} boxes are found, but"
            f" {_recall(analysis.aspects):.0%} of all boxes."
        )
        return Sentence("", text, commands.priors, kind)
    return None


def _fallback(analysis: Analysis, commands: Commands, kind: str) -> Sentence:
    """Advice against missed or badly located objects if no size or aspect stands out."""
    if kind != "missed":
        text = "Train with larger images (model.image_size): many detected boxes fit badly."
        return Sentence("", text, commands.train_larger, kind)
    label = int(analysis.confusion[:-1, -1].argmax())
    missed, total = analysis.confusion[label, -1], analysis.confusion[label].sum()
    name = analysis.metrics.names[label]
    text = f"Add training pictures of {name}: {missed} of {total} are missed. {THEN_TRAIN}"
    return Sentence("", text, commands.train, "missed", name)


def _background(analysis: Analysis, commands: Commands) -> Sentence:
    text = "Use the best score threshold of each class"
    name, _ = most_frequent(analysis, "background")
    if name is None:  # All of them are below the best thresholds.
        return Sentence("", f"{text}.", commands.detect)
    text += f", and train on pictures without objects that the detector mistakes for {name}."
    return Sentence("", text, commands.detect, "background", name)


def _low_group(groups: Sequence[Group], of: Sequence[Group]) -> Group | None:
    """The group with the lowest recall, among those large enough whose recall is low."""
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
    """The recall over the boxes of all groups."""
    found = sum(group.num_boxes * (group.recall or 0) for group in groups)
    return found / max(1, sum(group.num_boxes for group in groups))
