"""What to do next about a detector: each advice whose reason the analysis shows."""

# side = number of classes + 1

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from vision.metrics.analysis import Analysis, Group, Suspect
from vision.report.commands import Commands
from vision.report.kinds import ERRORS, Sentence

MIN_MEAN = 0.05
"""voc.mAP50 below which there is no point in telling kinds of errors apart."""
MIN_BOXES = 50
"""Boxes below which an average precision says little."""
CONFIDENT = 0.7
"""Score from which a detection that contradicts the labels is a reason to look at them."""
MIN_SUSPECTS = 5
MAX_DOUBT = {"missing box": 0.03, "other class": 0.03, "unfound box": 0.05}
"""Suspects from which the labels come first, as a fraction of the confident detections; of the
boxes for those that are not found. The detectors in the package have a half of it on VOC 2007."""
MIN_SWAPPED = 3
"""The same of the two classes that are confused most: so many are a reason to look at labels."""
MIN_CLASS_BOXES = 10
"""Boxes of a class below which its average precision says nothing."""
NUM_NAMED = 5
"""Classes of few boxes that are named."""
RARE_FRACTION, MIN_MEDIAN = 0.25, 20
"""Boxes of a rare class as a fraction of the median class's, where that has so many at least."""
LOW = 0.7
"""What is low: an AP, or a recall, below this fraction of the mean."""
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
    if not any(analysis.thresholds):
        text = "No detection is right: train it on these classes, or check the labels."
        return [Sentence("", text, commands.train)]
    if analysis.metrics.voc.mean < MIN_MEAN:
        text = "It has learnt little: train longer (train.epochs), and check the labels."
        return [Sentence("", text, commands.train)]
    labels, by_cost = list(_labels(analysis, commands)), _by_cost(analysis, commands)
    is_said = any(sentence.kind == by_cost.kind == "other class" for sentence in labels)
    return [
        *labels,
        *_too_few_boxes(analysis, commands),
        *_rare_class(analysis, commands),
        *([] if is_said else [by_cost]),
    ]


def _labels(analysis: Analysis, commands: Commands) -> Iterator[Sentence]:
    """Kinds of suspects that are many, by what follows where the labels are right."""
    names, num_boxes = analysis.metrics.names, sum(analysis.metrics.voc.num_boxes)
    num_confident = sum(bin_.count for bin_ in analysis.calibration if bin_.low >= CONFIDENT)
    strong = _strong(analysis)
    counts = Counter(suspect.kind for suspect in strong)
    for kind, count in counts.most_common():
        total = num_boxes if kind == "unfound box" else num_confident
        if count < MIN_SUSPECTS or count < MAX_DOUBT[kind] * total:
            continue
        pairs = Counter((one.label, one.true_label) for one in strong if one.kind == kind)
        label, true = pairs.most_common(1)[0][0]
        name, other = names[label], "" if true is None else names[true]
        text = {
            "missing box": f"{count} detections of score {CONFIDENT} and more lie on no box, most"
            f" often {name}. Where no box is missing, train on pictures without objects, too.",
            "other class": f"{count} boxes are found as another class with a score of"
            f" {CONFIDENT} and more, most often {other} as {name}. Where the labels are right, add"
            " pictures of both.",
            "unfound box": f"{count} boxes are found at no score, most often {name}. Where they"
            " are right, add pictures of the kind.",
        }[kind]
        text = f"Look at the labels first: {text}"
        yield Sentence("", text, commands.check, kind, other or name)


def _strong(analysis: Analysis) -> list[Suspect]:
    """The suspects that are a reason to look at the labels."""
    return [one for one in analysis.suspects if (one.score or 1.0) >= CONFIDENT]


def _too_few_boxes(analysis: Analysis, commands: Commands) -> Iterator[Sentence]:
    """Of all classes, or of some: what is measured on them says little."""
    counts, names = analysis.metrics.voc.num_boxes, analysis.metrics.names
    num_boxes = sum(counts)
    few = sorted((count, name) for name, count in zip(names, counts, strict=True) if is_few(count))
    if num_boxes < MIN_BOXES:
        text = (
            f"Label more images to evaluate on: {num_boxes} boxes are too few to tell how good a"
            f" detector is; {MIN_BOXES} are the least."
        )
        yield Sentence("", text, commands.evaluate)
    elif len(few) == 1:
        count, name = few[0]
        boxes = "1 box" if count == 1 else f"{count} boxes"
        yield Sentence(
            "", f"{name} has only {boxes}: its AP says nothing; add pictures of it to val."
        )
    elif few:
        named = ", ".join(f"{name} {count}" for count, name in few[:NUM_NAMED])
        more = f" and {len(few) - NUM_NAMED} more" if len(few) > NUM_NAMED else ""
        yield Sentence(
            "",
            f"{len(few)} classes have fewer than {MIN_CLASS_BOXES} boxes ({named}{more}): their AP"
            " says nothing; add pictures of them to val.",
        )


def is_few(num_boxes: int) -> bool:
    """Whether a class has boxes, but too few for its average precision to say anything."""
    return 0 < num_boxes < MIN_CLASS_BOXES


def _rare_class(analysis: Analysis, commands: Commands) -> Iterator[Sentence]:
    """The class of lowest AP among those of few boxes, if it is low."""
    voc, names = analysis.metrics.voc, analysis.metrics.names
    median = statistics.median(count for count in voc.num_boxes if count)
    rare = [
        (ap, label)
        for label, (ap, count) in enumerate(zip(voc.ap, voc.num_boxes, strict=True))
        if ap is not None
        and MIN_CLASS_BOXES <= count < RARE_FRACTION * median
        and ap < LOW * (voc.mean or 0)
    ]
    if rare and median >= MIN_MEDIAN:
        ap, label = min(rare)
        text = (
            f"More pictures of {names[label]}: it has {voc.num_boxes[label]} boxes here where the"
            f" median class has {median:g}, and AP50 {ap:.2f} where the mean is {voc.mean:.2f}."
        )
        yield Sentence("", text, commands.train, "missed", names[label])


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
    swapped = sum({one.label, one.true_label} == set(pair) for one in _strong(analysis))
    if swapped >= MIN_SWAPPED:
        text = (
            f"Look at the labels of {true} and {found}: {swapped} boxes of one are found as the"
            f" other with a score of {CONFIDENT} and more. Where the labels are right, add pictures"
            " of both that tell them apart."
        )
        return Sentence("", text, commands.check, "other class", true)
    text = (
        f"More pictures of {true} and {found} that tell them apart, labelled by one rule:"
        f" {true} is found as {found} {analysis.confusion[pair]} times."
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
