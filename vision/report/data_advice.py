"""Advice on the data: labels that confident detections contradict, and too few boxes."""

import statistics
from collections import Counter
from collections.abc import Collection, Iterator

from vision.formats import counted
from vision.metrics.analysis import Analysis, Suspect
from vision.metrics.results import MIN_BOXES
from vision.report.commands import Commands
from vision.report.kinds import Sentence

CONFIDENT = 0.7
"""Least score of a detection that contradicts the labels for the advice to check them."""
MIN_SUSPECTS = 5
MAX_DOUBT = {"missing box": 0.03, "other class": 0.03, "unfound box": 0.05}
"""Least number of suspects for the advice to check labels, as a fraction of the confident
detections, or of the boxes for "unfound box". The detectors in the package reach half of it on VOC
2007."""
MIN_SWAPPED = 3
"""Least number of suspects of the two most confused classes for the advice to check labels."""
MIN_CLASS_BOXES = 10
"""Least number of boxes of a class for a meaningful average precision."""
NUM_NAMED = 5
"""Maximum number of classes with few boxes that are named."""
RARE_FRACTION, MIN_MEDIAN = 0.25, 20
"""A rare class has less than this fraction of the median class's boxes, which must be at least so
many."""
THEN_TRAIN = "Then train again."
"""End of advice on training data, because its command alone would only repeat the training."""
LOW = 0.7
"""An AP or a recall is low below this fraction of the mean."""


def on_labels(analysis: Analysis, commands: Commands) -> Iterator[Sentence]:
    """Advice to check the labels for each kind of suspect that is frequent enough."""
    names, num_boxes = analysis.metrics.names, sum(analysis.metrics.voc.num_boxes)
    num_confident = sum(bin_.count for bin_ in analysis.calibration if bin_.low >= CONFIDENT)
    strong = _strong(analysis)
    counts = Counter(suspect.kind for suspect in strong)
    for kind, count in counts.most_common():
        total = num_boxes if kind == "unfound box" else num_confident
        if count < MIN_SUSPECTS or count < MAX_DOUBT[kind] * total:
            continue
        pairs = Counter((fault.label, fault.true_label) for fault in strong if fault.kind == kind)
        label, true = pairs.most_common(1)[0][0]
        name, other = names[label], "" if true is None else names[true]
        text = {
            "missing box": f"{count} detections with a score of at least {CONFIDENT} are where no"
            f" box is labelled, most often {name}. Add the boxes that are missing; if none are,"
            " also train on pictures without objects.",
            "other class": f"{count} labelled boxes are detected as another class with a score of"
            f" at least {CONFIDENT}, most often {other} as {name}. Correct the labels that are"
            " wrong; if none are, add training pictures of both classes.",
            "unfound box": f"{count} labelled boxes are not found at any score, most often {name}."
            " Correct the boxes that are wrong; if none are, add training pictures of such"
            " objects.",
        }[kind]
        text = f"Check the labels: {text}"
        yield Sentence("", text, commands.check, kind, other or name)


def _strong(analysis: Analysis) -> list[Suspect]:
    """The suspects with a score of at least `CONFIDENT`, and the unfound boxes."""
    return [fault for fault in analysis.suspects if (fault.score or 1.0) >= CONFIDENT]


def num_swapped(analysis: Analysis, pair: Collection[int]) -> int:
    """Number of confident detections of one of two classes on a box of the other."""
    return sum({fault.label, fault.true_label} == set(pair) for fault in _strong(analysis))


def on_few_boxes(analysis: Analysis, commands: Commands) -> Iterator[Sentence]:
    """Advice if all classes together, or some of them, have too few boxes to measure AP on."""
    counts, names = analysis.metrics.voc.num_boxes, analysis.metrics.names
    num_boxes = sum(counts)
    few = sorted((count, name) for name, count in zip(names, counts, strict=True) if is_few(count))
    if num_boxes < MIN_BOXES:
        text = (
            f"Label more images to evaluate on: these have {counted(num_boxes, 'box')}, but it"
            f" takes at least {MIN_BOXES} to measure how good a detector is."
        )
        yield Sentence("", text, commands.evaluate)
    elif len(few) == 1:
        count, name = few[0]
        boxes = "1 box" if count == 1 else f"{count} boxes"
        yield Sentence(
            "",
            f"{name} has only {boxes}, too few for a meaningful AP: label more validation"
            " images of it.",
        )
    elif few:
        named = ", ".join(f"{name} {count}" for count, name in few[:NUM_NAMED])
        more = f" and {len(few) - NUM_NAMED} more" if len(few) > NUM_NAMED else ""
        yield Sentence(
            "",
            f"{len(few)} classes have fewer than {MIN_CLASS_BOXES} boxes ({named}{more}), too few"
            " for a meaningful AP: label more validation images of them.",
        )


def is_few(num_boxes: int) -> bool:
    """Whether a class has boxes, but too few for a meaningful average precision."""
    return 0 < num_boxes < MIN_CLASS_BOXES


def on_rare_class(analysis: Analysis, commands: Commands) -> Iterator[Sentence]:
    """Advice on the class with the lowest AP among the rare classes, if that is low."""
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
            f"Add training pictures of {names[label]}: it has {voc.num_boxes[label]} boxes here,"
            f" the median class {median:g}, and its AP50 is {ap:.2f}, the mean {voc.mean:.2f}."
            f" {THEN_TRAIN}"
        )
        yield Sentence("", text, commands.train, "missed", names[label])
