"""The texts of a report: sentences, and the kinds of errors and of label suspects."""

from typing import NamedTuple


class Sentence(NamedTuple):
    """A sentence of the summary.

    Attributes:
        title: The question that the sentence answers.
        text: The answer.
        command: A command to paste into a terminal, if there is one.
        kind: The kind of error or suspect whose pictures to look at, if there is one.
        name: The class of these pictures; None for all classes.
    """

    title: str
    text: str
    command: str | None = None
    kind: str | None = None
    name: str | None = None


class Kind(NamedTuple):
    """A kind of error or suspect.

    Attributes:
        title: A heading.
        meaning: What is wrong with a detection or a box of this kind.
        caption: The line below a picture, a format with ``label``, ``score``, ``true``, ``iou``.
    """

    title: str
    meaning: str
    caption: str


ERRORS = {
    "missed": Kind("missed", "an object that no detection finds", "{label} is not found"),
    "background": Kind(
        "background", "a detection where no object is labelled", "{label} {score}, nothing labelled"
    ),
    "classification": Kind(
        "classification",
        "a detection in the right place with the wrong class",
        "{label} {score}, labelled {true}",
    ),
    "localisation": Kind(
        "localisation",
        "a detection with the right class whose box fits badly (IoU below 0.5)",
        "{label} {score}, IoU {iou}",
    ),
    "both": Kind(
        "class and place",
        "a detection with the wrong class whose box also fits badly",
        "{label} {score} near {true}, IoU {iou}",
    ),
    "duplicate": Kind(
        "duplicate",
        "another detection of an object that is already detected",
        "{label} {score}, already detected",
    ),
}
"""TIDE's six kinds of errors (arXiv 2008.08115), by their names in `Mistake`."""
SUSPECTS = {
    "missing box": Kind(
        "missing box?",
        "a confident detection where no box is labelled",
        "{label} {score}, no labelled box: is one missing?",
    ),
    "other class": Kind(
        "other class?",
        "a confident detection of another class on a labelled box",
        "labelled {true}, found as {label} {score}",
    ),
    "unfound box": Kind(
        "unfound box?",
        "a labelled box that no detection at any score finds, unlike most boxes of its size",
        "labelled {label}, not found: is the label right?",
    ),
}
"""Probable faults of the labels, by their names in `Suspect`."""
