"""The report of a data check, as data for JSON and as lines for a terminal."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from vision.check.kinds import KINDS, LEFT_OUT, LEVELS, TRAINED_ALL_THE_SAME, Kind, Level
from vision.formats import counted

Corners = tuple[float, float, float, float]
NUM_CLASSES = 10
"""Maximum number of classes that a line of the summary names."""
NUM_SHOWN = 3
"""Maximum number of places that a line of the summary names."""


class Place(NamedTuple):
    """Where something was found.

    Attributes:
        split: The split.
        file: The image, or another file; empty for a class or a split.
        detail: What is wrong there.
        boxes: The boxes concerned, ``xyxy`` in pixels of the image, as annotated.
        other: The image that this one duplicates, as (split, file).
    """

    split: str
    file: str = ""
    detail: str = ""
    boxes: tuple[Corners, ...] = ()
    other: tuple[str, str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The place for JSON; infinity and NaN, which JSON does not have, become null."""
        boxes = [[value if math.isfinite(value) else None for value in box] for box in self.boxes]
        return self._asdict() | {"boxes": boxes}

    def text(self, root: str = "") -> str:
        """The place in words; files are named relative to ``root``."""
        file, detail = _below(root, self.file), self.detail
        if file:
            detail = detail.replace(self.file, file)
        if self.other and self.other != (self.split, self.file):
            split = f"{self.other[0]}: " * (self.other[0] != self.split)
            file += f" and {split}{_below(root, self.other[1])}"
        text = (" " if detail.startswith("line") else ", ").join(filter(None, (file, detail)))
        return ": ".join(word for word in (self.split, text) if word)


@dataclass(frozen=True, slots=True)
class Finding:
    """All places of one kind of finding; ``count`` is the number of boxes, images or classes."""

    kind: str
    level: Level
    advice: str
    fix: str
    count: int
    places: Sequence[Place]

    def line(self, root: str = "") -> str:
        """One line that names the first places; files are named relative to ``root``."""
        shown = enumerated((place.text(root) for place in self.places), "; ")
        return f"{self.level}: {self.kind}: {self.count:,} ({shown})"


def enumerated(words: Iterable[str], separator: str = ", ") -> str:
    """The first words, and how many others there are."""
    words = list(words)
    more = len(words) - NUM_SHOWN
    return separator.join([*words[:NUM_SHOWN], *([f"{more} more"] if more > 0 else [])])


def _below(root: str, file: str) -> str:
    """The path of a file relative to ``root`` if it lies there, else the path unchanged."""
    path = Path(file)
    return path.relative_to(root).as_posix() if root and path.is_relative_to(root) else file


def find(kind: str, places: Iterable[Place], default: Level = "error") -> list[Finding]:
    """A list of the one finding of a kind, empty without places; ``default`` for unknown kinds."""
    places = list(places)
    level, advice, fix = KINDS.get(kind, Kind(default, "", LEFT_OUT * (default == "error")))
    count = sum(max(1, len(place.boxes)) for place in places)
    return [Finding(kind, level, advice, fix, count, places)] if places else []


@dataclass(slots=True)
class CheckReport:
    """The result of a data check.

    Attributes:
        splits: Number of images, boxes, ignored boxes and images without objects in each split.
        classes: Number of boxes of each class by split.
        boxes: Number of boxes in train by size and by aspect ratio, and how many of them no prior
            reaches; with the image size and IoU of the comparison.
        findings: The findings, errors first.
        root: The folder that contains all images, empty if there is none.
    """

    splits: dict[str, dict[str, int]] = field(default_factory=dict)
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    boxes: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    root: str = ""

    def counts(self) -> Counter[str]:
        """Number of findings at each level."""
        return Counter(finding.level for finding in self.findings)

    def stopping(self) -> list[Finding]:
        """The errors because of which training refuses the data."""
        errors = (finding for finding in self.findings if finding.level == "error")
        return [finding for finding in errors if finding.kind not in TRAINED_ALL_THE_SAME]

    def to_dict(self) -> dict[str, Any]:
        """The content of ``check.json``."""
        levels = self.counts()
        return {
            "root": self.root,
            "errors": levels["error"],
            "warnings": levels["warning"],
            "splits": self.splits,
            "classes": self.classes,
            "boxes": self.boxes,
            "findings": [
                asdict(finding) | {"places": [place.to_dict() for place in finding.places]}
                for finding in self.findings
            ],
        }

    def _class_counts(self, split: str) -> str:
        """The first classes with their numbers of boxes in a split, in words."""
        words = [f"{name} {row[split]:,}" for name, row in self.classes.items()]
        more = [f"{len(words) - NUM_CLASSES} more"] if len(words) > NUM_CLASSES else []
        return f" ({', '.join([*words[:NUM_CLASSES], *more])})" if words else ""

    def lines(self) -> list[str]:
        """A summary for a terminal."""
        lines = [f"images in {self.root}"] if self.root else []
        lines += [
            f"{split}: {counted(row['images'], 'image')}, {counted(row['boxes'], 'box')}"
            f"{self._class_counts(split)}"
            for split, row in self.splits.items()
        ]
        for finding in self.findings:
            lines.append(finding.line(self.root))
            if finding.advice:
                lines.append(f"  {finding.advice}")
        levels = self.counts()
        total = ", ".join(counted(levels[level], level) for level in LEVELS)
        return [*lines, f"kinds of findings: {total}" if self.findings else "no faults were found"]
