"""What a check of data found: data for JSON, lines for a terminal."""

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
"""Maximum number of classes whose boxes the summary counts."""
NUM_SHOWN = 3
"""Maximum number of places that a line of the summary names."""


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

    def to_dict(self) -> dict[str, Any]:
        """For JSON, which has no infinity and NaN: null stands for them."""
        boxes = [[value if math.isfinite(value) else None for value in box] for box in self.boxes]
        return self._asdict() | {"boxes": boxes}

    def text(self, root: str = "") -> str:
        """The place in words, without the folder ``root`` of files."""
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
    """All places where one kind of thing was found; ``count`` boxes, images or classes."""

    kind: str
    level: Level
    advice: str
    fix: str
    count: int
    places: Sequence[Place]

    def line(self, root: str = "") -> str:
        """A line that names the first places, without the folder ``root`` of files."""
        shown = enumerated((place.text(root) for place in self.places), "; ")
        return f"{self.level}: {self.kind}: {self.count:,} ({shown})"


def enumerated(words: Iterable[str], separator: str = ", ") -> str:
    """The first words, and the number of the others."""
    words = list(words)
    more = len(words) - NUM_SHOWN
    return separator.join([*words[:NUM_SHOWN], *([f"{more} more"] if more > 0 else [])])


def _below(root: str, file: str) -> str:
    """The path of a file below a folder."""
    path = Path(file)
    return path.relative_to(root).as_posix() if root and path.is_relative_to(root) else file


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
        root: The folder that all images lie in.
    """

    splits: dict[str, dict[str, int]] = field(default_factory=dict)
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    boxes: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    root: str = ""

    def counts(self) -> Counter[str]:
        """Number of findings of each level."""
        return Counter(finding.level for finding in self.findings)

    def stopping(self) -> list[Finding]:
        """The errors with which training refuses the data."""
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
        """The most frequent classes of a split."""
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
        return [*lines, f"kinds of faults: {total}" if self.findings else "nothing was found"]
