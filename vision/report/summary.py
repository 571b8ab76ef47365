"""The sentences at the top of a report: how good it is, what costs most, what to do next."""

import numpy as np

from vision.formats import counted
from vision.metrics.analysis import Analysis
from vision.report.advice import MIN_COST, advise, most_confused, most_frequent
from vision.report.commands import Commands
from vision.report.kinds import ERRORS, Sentence

TITLES = ("How good is it?", "Which errors cost most?", "What to do next?")
MEANING = (
    "(voc.mAP50 tells how well objects are found without wrong detections, over all score"
    " thresholds and averaged over the classes; 1 is perfect. A detection is right if its overlap"
    " (IoU) with a labelled box of its class is at least 0.5.)"
)


def summarise(analysis: Analysis, commands: Commands = Commands()) -> list[Sentence]:  # noqa: B008
    """Say how good the detector is, which errors cost most, what to do next, and after that."""
    answers = [_how_good(analysis), _what_costs(analysis), *advise(analysis, commands)]
    titles = [*TITLES, *["After that"] * (len(answers) - len(TITLES))]
    return [answer._replace(title=title) for answer, title in zip(answers, titles, strict=True)]


def _how_good(analysis: Analysis) -> Sentence:
    metrics, confusion = analysis.metrics, analysis.confusion
    num_boxes = sum(metrics.voc.num_boxes)
    measured = f"{counted(metrics.num_images, 'image')} with {counted(num_boxes, 'box')}"
    if metrics.voc.mean is None:
        images = counted(metrics.num_images, "image")
        text = f"no labelled box in {images}, or only difficult objects and crowds."
        return Sentence("", f"Nothing can be measured: {text}")
    right, objects = int(np.diag(confusion)[:-1].sum()), int(confusion[:-1].sum())
    precision = f"{metrics.voc.mean:.3f}"
    if "voc.mAP50" in analysis.intervals:
        low, high = analysis.intervals["voc.mAP50"]
        precision += f" (95% interval {low:.3f} to {high:.3f})"
    found = "The detector finds none of the objects"
    if right:
        detected = int(confusion[:, :-1].sum())
        found = (
            "With the best score threshold of each class, the detector finds"
            f" {right / objects:.0%} of the objects, and {right / detected:.0%} of its detections"
            " are right"
        )
    return Sentence("", f"{found}. voc.mAP50 is {precision}, measured on {measured}. {MEANING}")


def _what_costs(analysis: Analysis) -> Sentence:
    costs = {kind: analysis.error_costs.get(kind, 0.0) for kind in ERRORS}
    kind = max(costs, key=lambda key: costs[key])
    if analysis.metrics.voc.mean is None:
        return Sentence("", "That cannot be measured without labelled boxes.")
    if costs[kind] < MIN_COST:
        return Sentence("", "No kind of error costs as much as 0.5 points of AP50.")
    points = f"without them, AP50 would be {100 * costs[kind]:.1f} points (hundredths) higher"
    where, name = _most_affected(analysis, kind)
    meaning = {
        "missed": "Objects that are not found",
        "background": "Detections where no object is labelled",
        "classification": "Detections with the wrong class",
        "localisation": "Detections whose box fits badly",
        "both": "Detections with the wrong class whose box also fits badly",
        "duplicate": "Repeated detections of one object",
    }[kind]
    return Sentence("", f"{meaning} cost most: {points}.{where}", kind=kind, name=name)


def _most_affected(analysis: Analysis, kind: str) -> tuple[str, str | None]:
    """Say where a kind of error is most frequent, with the class; empty and None if unknown."""
    names, confusion = analysis.metrics.names, analysis.confusion
    if kind == "missed" and confusion[:-1, -1].any():
        label = int(confusion[:-1, -1].argmax())
        missed, total = confusion[label, -1], confusion[label].sum()
        text = f" Most often missed: {names[label]}, {missed} of {counted(int(total), 'object')}."
        return text, names[label]
    if kind == "classification":
        pair = most_confused(confusion)
        if pair:
            true, found = (names[label] for label in pair)
            times = counted(int(confusion[pair]), "time")
            return f" Most often confused: {true} detected as {found}, {times}.", found
    name, count = most_frequent(analysis, kind)
    return ("" if name is None else f" Most often: {name}, {counted(count, 'time')}."), name


def next_steps(analysis: Analysis, commands: Commands) -> list[Sentence]:
    """List what to do next about a detector: the sentences with a command, each command once."""
    found = "See what the detector finds in other photographs, with the best score thresholds."
    advice = advise(analysis, commands)
    steps = [*advice[:2], Sentence("", found, commands.detect), *advice[2:]]
    by_command: dict[str, Sentence] = {}
    for sentence in steps:
        if sentence.command:
            by_command.setdefault(sentence.command, sentence)
    return list(by_command.values())
