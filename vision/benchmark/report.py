"""The measurements of a benchmark as a table and as a chart."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from vision.atomic import replacing
from vision.benchmark.measure import Times
from vision.errors import DataError

MARKERS = "os^D"


@dataclass(frozen=True, slots=True)
class Row:
    """The measurements of one candidate.

    Attributes:
        name: Backend and precision.
        forward_ms: Median time of the network alone.
        forward_p95_ms: 95th percentile of the same time.
        detect_ms: Median time from a decoded image to detections.
        detect_p95_ms: 95th percentile of the same time.
        overhead: Median ratio of the second time to the first.
        relative_to_eager: Median ratio of the network's time to that in eager PyTorch.
        images_per_second: Throughput with one image on each core.
        peak_mb: Peak memory of a process that runs nothing else, Python and PyTorch included; None
            if it cannot be measured.
        voc_map50: None if it was not evaluated.
        coco_ap: None if it was not evaluated.
    """

    name: str
    forward_ms: float
    forward_p95_ms: float
    detect_ms: float
    detect_p95_ms: float
    overhead: float
    relative_to_eager: float
    images_per_second: float
    peak_mb: float | None
    voc_map50: float | None
    coco_ap: float | None


COLUMNS = {
    "name": ("", ""),
    "forward_ms": ("forward ms", ".1f"),
    "forward_p95_ms": ("p95", ".1f"),
    "detect_ms": ("image ms", ".1f"),
    "detect_p95_ms": ("p95", ".1f"),
    "overhead": ("image/forward", ".2f"),
    "relative_to_eager": ("of eager", ".2f"),
    "images_per_second": ("images/s", ".0f"),
    "peak_mb": ("peak MB", ".0f"),
    "voc_map50": ("voc.mAP50", ".4f"),
    "coco_ap": ("coco.AP", ".4f"),
}
"""Heading and format of each attribute of a row."""


def row_of(
    name: str,
    times: Times,
    eager: Times,
    images_per_second: float,
    peak_bytes: int | None,
    metrics: tuple[float | None, float | None],
) -> Row:
    """Make a row of measurements; ``metrics`` are voc.mAP50 and coco.AP, None if not evaluated."""
    milliseconds = (*_median_and_p95(times.forward), *_median_and_p95(times.detect))
    ratios = (times.overhead(), times.relative_to(eager))
    peak_mb = None if peak_bytes is None else peak_bytes / 1e6
    return Row(name, *milliseconds, *ratios, images_per_second, peak_mb, *metrics)


def _median_and_p95(seconds: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile in milliseconds."""
    return 1e3 * statistics.median(seconds), 1e3 * float(np.percentile(seconds, 95))


def table(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown."""
    return markdown([[head for head, _ in COLUMNS.values()], *map(_cells, rows)])


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown with aligned columns; the first of the ``lines`` has the headings."""
    head, *others = lines
    lines = [head, ["---"] * len(head), *others]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def _cells(row: Row) -> list[str]:
    values = [(getattr(row, key), spec) for key, (_, spec) in COLUMNS.items()]
    return ["-" if value is None else format(value, spec) for value, spec in values]


def draw_chart(rows: Sequence[Row], path: Path) -> None:
    """Write a chart of average precision against latency, or of latency if none was evaluated.

    Args:
        rows: The measurements.
        path: A .png file.

    Raises:
        DataError: If it cannot be written.
    """
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="milliseconds from a decoded image to detections, median")
    places = [(row.name, row.detect_ms, row.voc_map50) for row in rows if row.voc_map50 is not None]
    if places:
        for index, (name, *place) in enumerate(places):
            # Matplotlib repeats its ten colours; the marker changes with each repetition.
            axes.plot(*place, MARKERS[index // 10 % len(MARKERS)], label=name)
        axes.set_ylabel("voc.mAP50")
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}")
        figure.legend(loc="outside right upper")
    else:
        axes.barh([row.name for row in rows], [row.detect_ms for row in rows])
        axes.invert_yaxis()
        axes.set_xlim(left=0)
    axes.margins(y=0.2)
    axes.grid(alpha=0.3)
    try:
        with replacing(path) as partial:
            figure.savefig(partial, format="png", dpi=120)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
