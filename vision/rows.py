"""Single detections, and several of them counted, as text and as HTML."""

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_LISTED = 10
"""Maximum number of detections that `rows_text` lists."""
_COUNTED = 10
"""Maximum number of class names that `describe_counts` lists, unless only one more is left."""
_PLURALS = {"knife": "knives", "mouse": "mice", "sheep": "sheep"}
"""Plurals of COCO's and VOC's class names that no rule covers."""


class Detection(NamedTuple):
    """One detected object.

    Attributes:
        label: Class index from 0.
        name: Class name; the index as text if the names are unknown.
        score: Confidence in [0, 1].
        box: x0, y0, x1, y1 in pixels.
    """

    label: int
    name: str
    score: float
    box: tuple[float, float, float, float]


def describe_counts(counts: Mapping[str, int], none: str = "nothing") -> str:
    """Describe counts as ``2 persons, 1 dog``, most frequent first; ``none`` if there are none."""
    ranked = Counter(counts).most_common()
    texts = [f"{count} {name if count == 1 else _plural(name)}" for name, count in ranked if count]
    if len(texts) > _COUNTED + 1:  # "1 of 1 other classes" would say less than its name
        rest = sum(count for _, count in ranked[_COUNTED:])
        texts = [*texts[:_COUNTED], f"{rest} of {len(texts) - _COUNTED} other classes"]
    return ", ".join(texts) or none


def _plural(name: str) -> str:
    """The English plural of a class name; other names that end in ``s`` are plurals already."""
    if name in _PLURALS:
        return _PLURALS[name]
    if name.endswith(("ss", "us", "x", "ch", "sh")):
        return f"{name}es"
    return name if name.endswith("s") else f"{name}s"


def rows_text(rows: Sequence[Detection]) -> str:
    """Format the first detections as text, each after a line break."""
    listed = rows[:_LISTED]
    width = max((len(row.name) for row in listed), default=0)
    lines = [f"\n  {row.name:<{width}}  {row.score:.2f}  [{_box(row)}]" for row in listed]
    if len(rows) > _LISTED:
        lines.append(f"\n  ... and {len(rows) - _LISTED} more")
    return "".join(lines)


def rows_html(rows: Sequence[Detection]) -> str:
    """Format all detections as an HTML table."""
    cells = [(html.escape(row.name), f"{row.score:.2f}", _box(row)) for row in rows]
    lines = ["".join(f"<td>{cell}</td>" for cell in line) for line in cells]
    head = "<th>name</th><th>score</th><th>x0, y0, x1, y1</th>"
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in (head, *lines))}</table>"


def _box(row: Detection) -> str:
    return ", ".join(f"{x:.1f}" for x in row.box)
