"""What a check of data found: kinds of findings, data for JSON, lines for a terminal."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

Level = Literal["error", "warning", "note"]
Corners = tuple[float, float, float, float]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
NUM_SHOWN = 3
"""Places that a line of the summary names."""


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
        "error", "What was trained on measures nothing.", "cut out of train"
    ),
    "no box to train": Kind("error", "Training would learn nothing."),
    "split whose boxes are all ignored": Kind(
        "error", "All are difficult or crowd (iscrowd): clear that flag where it is not meant."
    ),
    "class that train does not have": Kind(
        "error", "Training refuses the data: rename it, or name the classes in data.classes."
    ),
    "images whose end is missing": Kind(
        "warning", "The rest of the picture is grey: copy the file again.", "written anew"
    ),
    "size other than stated": Kind(
        "warning",
        "If the image was resized after it was annotated, its boxes lie elsewhere.",
        "set",
    ),
    "box beyond the border": Kind("warning", "Training clips it to the image.", "clipped"),
    "box drawn twice": Kind("warning", "One object counts as two.", "one is left out"),
    "object of two classes": Kind("warning", "One of the two boxes is wrong."),
    "same image twice": Kind(
        "warning", "If each copy has other boxes, it teaches the others' as background.", "joined"
    ),
    "near-identical images": Kind("warning", "They count as several, and teach little more."),
    "near-identical images in two splits": Kind(
        "warning", "The measure is too good: move them into one split.", "cut out of train"
    ),
    "similar class names": Kind("warning", "If they mean one class, give it one name."),
    "class whose boxes are all ignored": Kind(
        "warning", "It is not learnt: clear difficult or iscrowd where it is not meant."
    ),
    "class that is left out": Kind("warning", "data.classes does not name it."),
    "class without a box": Kind("warning", "It cannot be learnt, or not be measured."),
    "class with few boxes": Kind("note", "Few examples give a weak detector: add photographs."),
    "class imbalance": Kind("note", "Rare classes are learnt late: add photographs of them."),
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
        "images of another size than their annotation states",
    }
)
"""What readers note and records tell in more detail."""


class Place(NamedTuple):
    """Where something was found.

    Attributes:
        split: The split.
        file: The image, or another file; empty for a class or a split.
        detail: What is wrong there.
        boxes: The boxes that it concerns, in pixels of the image, as annotated.
        other: The image that it equals, as (split, file).
    """

    split: str
    file: str = ""
    detail: str = ""
    boxes: tuple[Corners, ...] = ()
    other: tuple[str, str] | None = None

    def __str__(self) -> str:
        same = f"is {self.other[0]}: {self.other[1]}" if self.other else ""
        words = [self.file, *(word for word in (same, self.detail) if word)]
        return f"{self.split}: {', '.join(word for word in words if word)}"


@dataclass(frozen=True, slots=True)
class Finding:
    """All places where one kind of thing was found; ``count`` boxes, images or classes."""

    kind: str
    level: Level
    advice: str
    fix: str
    count: int
    places: Sequence[Place]

    def line(self) -> str:
        """A line that names the first places."""
        shown = "; ".join(str(place) for place in self.places[:NUM_SHOWN])
        more = len(self.places) - NUM_SHOWN
        return f"{self.level}: {self.kind}: {self.count} ({shown}{f'; {more} more' * (more > 0)})"


def find(kind: str, places: Iterable[Place], default: Level = "error") -> list[Finding]:
    """The finding of a kind, or nothing where there is no place."""
    places = list(places)
    level, advice, fix = KINDS.get(kind, Kind(default, "", LEFT_OUT * (default == "error")))
    count = sum(max(1, len(place.boxes)) for place in places)
    return [Finding(kind, level, advice, fix, count, places)] if places else []


@dataclass(slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        splits: Images, boxes, ignored boxes and images without objects of each split.
        classes: Boxes of each class, by split.
        boxes: How many boxes of train have which size and aspect, and how many of these no prior
            reaches; with what the priors are.
        findings: Errors first.
    """

    splits: dict[str, dict[str, int]] = field(default_factory=dict)
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    boxes: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def counts(self) -> Counter[str]:
        """Number of findings of each level."""
        return Counter(finding.level for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The content of ``check.json``."""
        levels = self.counts()
        return {
            "errors": levels["error"],
            "warnings": levels["warning"],
            "splits": self.splits,
            "classes": self.classes,
            "boxes": self.boxes,
            "findings": [
                asdict(finding) | {"places": [place._asdict() for place in finding.places]}
                for finding in self.findings
            ],
        }

    def lines(self) -> list[str]:
        """A summary for a terminal."""
        lines = [
            f"{split}: {row['images']:,} images, {row['boxes']:,} boxes"
            for split, row in self.splits.items()
        ]
        for finding in self.findings:
            lines += [finding.line(), f"  {finding.advice}"] if finding.advice else [finding.line()]
        levels = self.counts()
        total = ", ".join(f"{level}s {levels[level]}" for level in LEVELS)
        return [*lines, f"kinds of findings: {total}" if self.findings else "nothing was found"]
