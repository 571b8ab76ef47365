"""Kinds of findings: their severity, advice for the user, and what a repaired copy changes."""

from typing import Literal, NamedTuple

from vision.metrics.results import MIN_BOXES

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


class Kind(NamedTuple):
    """A kind of finding.

    Attributes:
        level: Errors certainly harm training or its metrics; warnings may; notes only inform.
        advice: What follows from it, and what helps.
        fix: What ``--fix`` does about it; empty for nothing.
    """

    level: Level
    advice: str
    fix: str = ""


LEFT_OUT = "left out"
KINDS = {
    "missing image": Kind("error", "Training stops: add it, or remove its annotation.", LEFT_OUT),
    "unreadable image": Kind("error", "Training stops: restore or remove the file.", LEFT_OUT),
    "ambiguous image": Kind("error", "Training stops: correct one of the two names.", LEFT_OUT),
    "unreadable tar": Kind("error", "Training stops: copy or write the tar again.", LEFT_OUT),
    "invalid annotation": Kind("error", "Training stops: correct or remove it.", LEFT_OUT),
    "decimal comma": Kind("error", "Training stops: write decimal points.", "written as points"),
    "box without area": Kind("error", "Training leaves it out: draw it again.", LEFT_OUT),
    "box outside its image": Kind(
        "error", "Training leaves it out: it may belong to another image or size.", LEFT_OUT
    ),
    "file listed twice": Kind(
        "error",
        "One file has two ids: training takes the boxes of one id as background for the other.",
        "joined",
    ),
    "same image in two splits": Kind(
        "error", "Accuracy on images used for training is meaningless.", "kept in one split"
    ),
    "no box to train": Kind("error", "Training would learn nothing: annotate objects."),
    "split whose boxes are all ignored": Kind(
        "error", "All are marked difficult or iscrowd: clear the mark where it is wrong."
    ),
    "class that train does not have": Kind(
        "error", "Training stops: rename it, or list the classes to train in data.classes."
    ),
    "images whose end is missing": Kind(
        "warning", "The missing part is read as grey: copy the file again.", "written again"
    ),
    "size other than stated": Kind(
        "warning",
        "If the image was resized after it was annotated, its boxes are in wrong places.",
        "corrected",
    ),
    "box beyond the border": Kind("warning", "Training clips it to the image.", "clipped"),
    "boxes whose corners were swapped": Kind("warning", "Training swaps them back.", "corrected"),
    "box drawn twice": Kind("warning", "One object counts as two.", "drawn once"),
    "object of two classes": Kind("warning", "One of the two boxes is wrong: remove it."),
    "same image twice": Kind(
        "warning", "If the boxes differ, training takes those of one as background.", "joined"
    ),
    "near-identical images": Kind("warning", "They add little to training."),
    "near-identical images in two splits": Kind(
        "warning",
        "Accuracy looks better than it is: move them into one split.",
        "kept in one split",
    ),
    "val with few boxes": Kind(
        "warning",
        f"It takes at least {MIN_BOXES} boxes to measure how good a detector is: label more images"
        " for val.",
    ),
    "similar class names": Kind("warning", "If they mean the same class, use only one name."),
    "class whose boxes are all ignored": Kind(
        "warning", "It is not learnt: clear difficult or iscrowd where it is wrong."
    ),
    "class that is left out": Kind("warning", "To train it, add it to data.classes."),
    "class without a box": Kind(
        "warning", "It cannot be learnt (train) or measured (val): add photographs of it."
    ),
    "class with few boxes": Kind("note", "Few examples give a weak detector: add photographs."),
    "class imbalance": Kind("note", "Rare classes are learnt late: add photographs of them."),
    "polygons turned into their boxes": Kind("note", "Training uses boxes only."),
    "rotated boxes turned into their upright ones": Kind("note", "Training uses upright boxes."),
    "parent categories without a box left out": Kind("note", "They are not used as classes."),
    "data without names of classes, which are called by number": Kind(
        "note",
        "List the names in classes.txt, one on each line, or in data.yaml; if the folder around"
        " has a data.yaml, pass that folder.",
    ),
    "text files without an image left out": Kind("warning", "Add the images, or remove the files."),
    "images without an XML file left out": Kind(
        "note",
        "Annotate them, if they show objects; convert files such as HEIC to JPEG before that.",
    ),
    "image that no split lists": Kind(
        "note", "It is not used: annotate it, list it, or convert it to JPEG or PNG."
    ),
    "image without objects": Kind("note", "It is used as background: check that it is empty."),
    "image rotated by EXIF": Kind(
        "note", "It is read to fit its boxes; other programs may rotate it.", "turned upright"
    ),
    "box that no prior reaches": Kind(
        "note",
        "It is still matched to its best prior (anchor box), but learnt badly. A larger"
        " model.image_size helps; so do other priors (ssdlite priors), if training starts without"
        " weights.",
    ),
}
"""Kinds of findings by name; other faults of a reader are errors, its other notes warnings."""
TOLD_BY_RECORDS = frozenset(
    {
        "boxes without area dropped",
        "boxes outside their image dropped",
        "boxes clipped to the image",
        "images listed again under another id",
        "images of another size than their annotation states",
    }
)
"""Irregularities noted by readers for which the records give more detailed findings."""
TRAINED_ALL_THE_SAME = frozenset(
    {"box without area", "box outside its image", "file listed twice", "same image in two splits"}
)
"""Errors that do not stop training: such boxes are left out, or the metrics are unreliable."""
