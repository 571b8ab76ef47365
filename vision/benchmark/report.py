"""What was measured, as a table, as JSON and as a picture."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vision.atomic import replacing
from vision.benchmark.measure import Times
from vision.errors import DataError

__all__ = ["Row", "draw", "row_of", "table"]


@dataclass(frozen=True, slots=True)
class Row:
    """One entrant.

    Attributes:
        name: Backend and precision.
        forward_ms: Median of the network alone.
        forward_p95_ms: What 95 of 100 are below.
        whole_ms: Median from a decoded image to detections.
        whole_p95_ms: What 95 of 100 are below.
        overhead: Whole over forward.
        of_eager: Forward over that of eager PyTorch.
        images_per_second: With one image on each core.
        peak_mb: Memory of a process that does nothing else, Python and PyTorch included.
        voc_map50: None where it was not evaluated.
        coco_ap: None where it was not evaluated.
    """

    name: str
    forward_ms: float
    forward_p95_ms: float
    whole_ms: float
    whole_p95_ms: float
    overhead: float
    of_eager: float
    images_per_second: float
    peak_mb: float
    voc_map50: float | None
    coco_ap: float | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


HEADS = (
    "",
    "forward ms",
    "p95",
    "image ms",
    "p95",
    "image/forward",
    "of eager",
    "images/s",
    "peak MB",
    "voc.mAP50",
    "coco.AP",
)


def row_of(
    name: str,
    times: Times,
    eager: Times,
    rate: float,
    memory: int,
    precision: tuple[float | None, float | None],
) -> Row:
    """A row from what was measured; ``precision`` is voc.mAP50 and coco.AP."""
    (forward, forward_95), (whole, whole_95) = (
        (1e3 * statistics.median(seconds), 1e3 * float(np.percentile(seconds, 95)))
        for seconds in (times.forward, times.whole)
    )
    relative = times.relative_to(eager)
    return Row(
        name,
        forward,
        forward_95,
        whole,
        whole_95,
        times.overhead(),
        relative,
        rate,
        memory / 1e6,
        *precision,
    )


def table(rows: Sequence[Row]) -> str:
    """Columns for people, in Markdown."""
    lines = [HEADS, tuple("---" for _ in HEADS), *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def _cells(row: Row) -> tuple[str, ...]:
    times = (row.forward_ms, row.forward_p95_ms, row.whole_ms, row.whole_p95_ms)
    return (
        row.name,
        *(f"{value:.1f}" for value in times),
        f"{row.overhead:.2f}",
        f"{row.of_eager:.2f}",
        f"{row.images_per_second:.0f}",
        f"{row.peak_mb:.0f}",
        *("-" if value is None else f"{value:.4f}" for value in (row.voc_map50, row.coco_ap)),
    )


def draw(rows: Sequence[Row], path: Path) -> None:
    """Average precision against latency, for those that have one; latency alone where none has.

    Args:
        rows: What was measured.
        path: A .png file.

    Raises:
        DataError: If it cannot be written.
    """
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="milliseconds from a decoded image to detections, median")
    places = [(row.name, row.whole_ms, row.voc_map50) for row in rows if row.voc_map50 is not None]
    if places:
        for name, *place in places:
            axes.plot(*place, "o", label=name)
        axes.set_ylabel("voc.mAP50")
        figure.legend(loc="outside right upper")
    else:
        axes.barh([row.name for row in rows], [row.whole_ms for row in rows])
        axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.margins(y=0.2)
    axes.grid(alpha=0.3)
    try:
        with replacing(path) as partial:
            figure.savefig(partial, format="png", dpi=120)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
