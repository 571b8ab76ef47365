"""The log as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["draw_curves"]

LOSSES = ("loss", "classification", "localisation")
METRICS = {"voc_mAP50": "val voc.mAP50", "coco_AP": "val coco.AP"}


def draw_curves(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write losses, learning rate and metrics by epoch as a PNG."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    losses, rates, metrics = figure.subplots(1, 3, sharex=True)
    epochs = [row["epoch"] for row in rows]
    for name in LOSSES:
        losses.plot(epochs, [row[name] for row in rows], label=name)
    rates.plot(epochs, [row["lr"] for row in rows], label="learning rate")
    for name, label in METRICS.items():
        known = [(row["epoch"], row[name]) for row in rows if row.get(name) is not None]
        metrics.plot(*zip(*known, strict=True), ".-", label=label) if known else None
    metrics.set_ylim(0, 1)
    for axes in (losses, rates, metrics):
        axes.set_xlabel("epoch")
        axes.grid(visible=True, alpha=0.3)
        if axes.lines:
            axes.legend()
    figure.savefig(path, dpi=100)
