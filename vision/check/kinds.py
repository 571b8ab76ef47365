"""Kinds of findings: how grave each is, what helps, and what a repaired copy does about it."""

from typing import Literal, NamedTuple

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


class Kind(NamedTuple):
    """A kind of finding.

    Attributes:
        level: Errors spoil training or its measure for certain; warnings may; notes inform.
        advice: What follows from it, and what helps.
        fix: What ``--fix`` does about it, if anything.
    """

    level: Level
    advice: str
    fix: str = ""


LEFT_OUT = "left out"
KINDS = {
    "missing image": Kind("error", "Training refuses the data.", LEFT_OUT),
    "unreadable image": Kind("error", "Restore the file, or take it out.", LEFT_OUT),
    "invalid annotation": Kind("error", "Training refuses the data.", LEFT_OUT),
    "decimal comma": Kind("error", "Training refuses the data: write points.", "written as points"),
    "box without area": Kind("error", "Training leaves it out: draw it again.", LEFT_OUT),
    "box outside its image": Kind(
        "error", "Training leaves it out: it may belong to another image or size.", LEFT_OUT
    ),
    "file listed twice": Kind(
        "error",
        "One file under two ids: each copy teaches the boxes of the other as background.",
        "joined",
    ),
    "same image in two splits": Kind(
        "error", "Accuracy on images that were trained on says nothing.", "kept in one split"
    ),
    "no box to train": Kind("error", "Training would learn nothing."),
    "split whose boxes are all ignored": Kind(
        "error", "All are difficult or crowd (iscrowd): clear that flag where it is not meant."
    ),
    "class that train does not have": Kind(
        "error", "Training refuses the data: rename it, or name the classes in data.classes."
    ),
    "images whose end is missing": Kind(
        "warning", "The rest of the picture is grey: copy the file again.", "written again"
    ),
    "size other than stated": Kind(
        "warning",
        "If the image was resized after it was annotated, its boxes lie elsewhere.",
        "set",
    ),
    "box beyond the border": Kind("warning", "Training clips it to the image.", "clipped"),
    "boxes whose corners were swapped": Kind("warning", "They are read as meant.", "put right"),
    "duplicate image id": Kind("error", "Training refuses the data.", LEFT_OUT),
    "box drawn twice": Kind("warning", "One object counts as two.", "one of each two left out"),
    "object of two classes": Kind("warning", "One of the two boxes is wrong."),
    "same image twice": Kind(
        "warning", "If each copy has other boxes, it teaches the others' as background.", "joined"
    ),
    "near-identical images": Kind("warning", "They add little to training."),
    "near-identical images in two splits": Kind(
        "warning",
        "Accuracy looks better than it is: move them into one split.",
        "kept in one split",
    ),
    "similar class names": Kind("warning", "If they mean one class, give it one name."),
    "class whose boxes are all ignored": Kind(
        "warning", "It is not learnt: clear difficult or iscrowd where it is not meant."
    ),
    "class that is left out": Kind("warning", "data.classes does not name it."),
    "class without a box": Kind("warning", "It cannot be learnt, or not be measured."),
    "class with few boxes": Kind("note", "Few examples give a weak detector: add photographs."),
    "class imbalance": Kind("note", "Rare classes are learnt late: add photographs of them."),
    "polygons turned into their boxes": Kind("note", "Only boxes are trained."),
    "rotated boxes turned into their upright ones": Kind("note", "Only upright boxes are trained."),
    "parent categories without a box left out": Kind("note", "They are no classes."),
    "data without names of classes, which are called by number": Kind(
        "note", "Name them in classes.txt, one a line, or in data.yaml."
    ),
    "text files without an image left out": Kind("warning", "Add the images, or remove the files."),
    "images without an XML file left out": Kind("note", "Annotate them, if they show objects."),
    "image that no split lists": Kind(
        "note", "It is not used: annotate it, list it, or convert it to JPEG or PNG."
    ),
    "image without objects": Kind("note", "Used as background. Is it meant to be empty?"),
    "image rotated by EXIF": Kind(
        "note", "It is read as its boxes say; other programs may show it turned.", "turned upright"
    ),
    "box that no prior reaches": Kind(
        "note",
        "It still gets its best prior, but is learnt badly. A larger model.image_size helps, and"
        " without weights to start from, other priors (ssdlite priors).",
    ),
}
"""What is known of each kind; other faults of a reader are errors, its other notes warnings."""
TOLD_BY_RECORDS = frozenset(
    {
        "boxes without area dropped",
        "boxes outside their image dropped",
        "boxes clipped to the image",
        "images listed again under another id",
        "images of another size than their annotation states",
    }
)
"""What readers note and records tell in more detail."""
TRAINED_ALL_THE_SAME = frozenset(
    {"box without area", "box outside its image", "file listed twice", "same image in two splits"}
)
"""Errors that do not stop training: such boxes are left out, or the metrics are too good."""
