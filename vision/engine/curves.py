"""The log as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

__all__ = ["draw_curves"]

PANELS = (
    {"loss": "loss", "classification": "classification", "localisation": "localisation"},
    {"lr": "learning rate"},
    {"voc.mAP50": "val voc.mAP50", "coco.AP": "val coco.AP"},
)
"""Columns of the log and their labels, from left to right."""


def draw_curves(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write losses, learning rate and metrics by epoch as a PNG.

    A column may be None or missing in any row; epoch 0, before the first step, has metrics alone.
    """
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(PANELS), sharex=True)
    for axes, columns in zip(panels, PANELS, strict=True):
        for name, label in columns.items():
            known = [(row["epoch"], row[name]) for row in rows if row.get(name) is not None]
            if known:
                axes.plot(*zip(*known, strict=True), ".-", markersize=4, label=label)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(visible=True, alpha=0.3)
        if axes.lines:
            axes.legend()
    panels[-1].set_ylim(0, 1)
    figure.savefig(path, dpi=100)
