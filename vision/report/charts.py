"""The data of the charts of a report, as the template needs them."""

# side = number of classes + 1

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from vision.metrics.analysis import Curve

MAX_POINTS = 100
"""Maximum number of points that are drawn of a curve."""


class Cell(NamedTuple):
    """A non-empty cell of a confusion matrix.

    Attributes:
        row: Index of its row in the matrix that is shown.
        column: Index of its column in the matrix that is shown.
        number: Number of objects, or of detections in the background row.
        fraction: The number as a fraction of its row.
        is_right: Whether the cell is on the diagonal.
        text: The content in words.
    """

    row: int
    column: int
    number: int
    fraction: float
    is_right: bool
    text: str


class Matrix(NamedTuple):
    """A confusion matrix without the classes whose row and column are empty.

    Attributes:
        rows: Names of the rows: the classes, then background.
        columns: Names of the columns: the classes, then missed.
        totals: Sum of each row.
        cells: The non-empty cells.
    """

    rows: list[str]
    columns: list[str]
    totals: list[int]
    cells: list[Cell]

    def worst(self, count: int) -> list[Cell]:
        """The most frequent confusions of two classes, at most ``count``."""
        last = len(self.rows) - 1
        confused = [
            cell
            for cell in self.cells
            if not cell.is_right and cell.row < last and cell.column < last
        ]
        return sorted(confused, key=lambda cell: -cell.number)[:count]


def confusion_matrix(confusion: Int64[ndarray, "side side"], names: Sequence[str]) -> Matrix:
    """Prepare the confusion matrix for the chart.

    Args:
        confusion: As in `vision.metrics.analysis.Analysis`.
        names: Class names in label order.
    """
    num_classes = len(names)
    used = confusion.sum(axis=0) + confusion.sum(axis=1) > 0
    used[-1] = True
    kept = np.flatnonzero(used).tolist()
    part = confusion[np.ix_(kept, kept)]
    totals = part.sum(axis=1)
    shown = [names[label] for label in kept if label < num_classes]
    cells = [
        Cell(
            int(row),
            int(column),
            int(part[row, column]),
            float(part[row, column] / totals[row]),
            bool(row == column),
            _words(int(part[row, column]), int(totals[row]), int(row), int(column), shown),
        )
        for row, column in np.argwhere(part)
    ]
    return Matrix([*shown, "background"], [*shown, "missed"], totals.tolist(), cells)


def _words(count: int, total: int, row: int, column: int, names: Sequence[str]) -> str:
    """Describe a cell; the row after the names is background, the column after them missed."""
    if row == len(names):
        return f"{count} of {total} detections that match no object are of class {names[column]}"
    share = f"{count} of {total} {names[row]} objects ({count / total:.0%})"
    if column == len(names):
        return f"{share} are missed"
    return f"{share} are found" + (f" as {names[column]}" if row != column else "")


def curve_points(curve: Curve) -> list[tuple[float, float]]:
    """Choose at most `MAX_POINTS` points (recall, precision) at which the recall grows."""
    grows = np.diff(curve.recall, prepend=0) > 0
    recall, precision = curve.recall[grows], curve.precision[grows]
    if len(recall) > MAX_POINTS:
        chosen = np.linspace(0, len(recall) - 1, MAX_POINTS).round().astype(int)
        recall, precision = recall[chosen], precision[chosen]
    return list(zip(recall.tolist(), precision.tolist(), strict=True))
