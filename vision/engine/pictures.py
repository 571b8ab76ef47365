"""The pictures of a run: the log as curves, and images with ground truth and detections.

A run does not depend on them: if one cannot be written, a warning is logged and the run continues.
"""

# h and w are the height and width of an image; H is its height with a legend.

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from vision.atomic import replacing
from vision.data import DetectionDataset
from vision.detector import Detector
from vision.draw import (
    Corners,
    Style,
    class_colour,
    draw_detections,
    label_names,
    place_tags,
    visible_corners,
)
from vision.errors import VisionError
from vision.media import write_image
from vision.model import build_post_process
from vision.runtime import RuntimeOptions
from vision.structures import Target
from vision.weights import SavedDetector

logger = logging.getLogger(__name__)

PANELS = (
    {"loss": "loss", "classification": "classification", "localisation": "localisation"},
    {"lr": "learning rate"},
    {"voc.mAP50": "val voc.mAP50", "coco.AP": "val coco.AP"},
)
"""Columns of the log and their labels, from left to right."""
_GREY, _WHITE = (64, 64, 64), (255, 255, 255)
_LEGEND = ("ground truth", "detections")
NUM_PICTURES = 8
"""Number of validation pictures that are drawn at the end of a run."""
SCORE = 0.4
"""Minimum score of the detections that are drawn."""
MAX_STEM = 200
"""Maximum number of bytes of the image's name in a picture's file name, which is limited to 255."""


@contextmanager
def optional(path: Path) -> Iterator[None]:
    """Log a warning instead of raising an error if an optional file or folder cannot be written."""
    try:
        yield
    except (OSError, VisionError) as error:
        logger.warning("warning: %s is left out: %s", path, error)


def draw_curves(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write losses, learning rate and metrics by epoch as a PNG.

    A column may be None or missing in any row; epoch 0, before the first step, only has metrics.
    """
    figure = Figure(figsize=(12, 3.6))
    # A constrained layout would draw everything twice and take half of the time.
    figure.subplots_adjust(left=0.05, right=0.985, bottom=0.14, top=0.96, wspace=0.25)
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
    with replacing(path) as partial:
        figure.savefig(partial, dpi=100)


def draw_pictures(
    saved: SavedDetector, dataset: DetectionDataset, device: torch.device, folder: Path
) -> None:
    """Write pictures spread evenly over a data set, with detections, ground truth and a legend."""
    detector = Detector.from_model(
        saved.model,
        build_post_process(saved.config.model),
        saved.names,
        score=SCORE,
        options=RuntimeOptions(device=str(device)),
    )
    step = max(1, len(dataset) // NUM_PICTURES)
    for index in range(0, len(dataset), step)[:NUM_PICTURES]:
        image, target = dataset.records[index].read(), dataset.targets[index]
        picture = draw_target(image, target, saved.names)
        picture = draw_detections(picture, detector(image), saved.names)
        stem = Path(str(target.image_id)).stem.replace(" ", "_")
        stem = os.fsencode(stem)[:MAX_STEM].decode(errors="ignore")
        write_image(folder / f"{index:05d}_{stem}.jpg", draw_legend(picture))


def draw_target(
    image: UInt8[ndarray, "h w 3"], target: Target, names: Sequence[str]
) -> UInt8[ndarray, "h w 3"]:
    """Return a copy of the image with the ground truth in thin white lines, dashed if ignored.

    Names are below the boxes, so that the tags of `draw_detections` do not hide them.

    Raises:
        ValueError: If a label has no name.
    """
    image = image.copy()
    style = Style.for_image(image)
    texts, visible = label_names(target.labels, names), list(visible_corners(target.boxes, image))
    for index, corners in visible:
        dash = 3 * style.outlined[0][1] if target.ignore[index] else max(image.shape)
        for colour, width in style.outlined:
            for start, end in _dashes(corners, dash):
                cv2.line(image, start, end, colour, width)
    tags = [(corners, (texts[index],)) for index, corners in visible]
    for _, text, place in place_tags(tags, image.shape[:2], style, below=True):
        style.draw_tag(image, text, place, _WHITE)
    return image


def draw_legend(image: UInt8[ndarray, "h w 3"]) -> UInt8[ndarray, "H w 3"]:
    """Return a copy of the image with a legend for ground truth and detections below it.

    The entries are side by side, or one below the other if the image is too narrow, in a smaller
    font if necessary.
    """
    style = Style.for_image(image)
    width = image.shape[1]
    while max(widths := _entry_widths(style)) > width and style.capital > 1:
        style = replace(style, capital=style.capital - 1)
    height = 5 * style.capital // 2
    in_a_row = sum(widths) <= width
    places = ((0, 0), (widths[0], 0) if in_a_row else (0, height))
    strip = np.full((places[1][1] + height, width, 3), _GREY, np.uint8)
    truth = [(0, 3, colour, thickness) for colour, thickness in style.outlined]
    detected = [(label, label + 1, class_colour(label), style.line) for label in range(3)]
    for (x, y), word, strokes in zip(places, _LEGEND, (truth, detected), strict=True):
        columns, middle = [x + n * style.capital for n in range(1, 6)], y + height // 2
        for start, end, colour, thickness in strokes:
            cv2.line(strip, (columns[start], middle), (columns[end], middle), colour, thickness)
        style.draw_text(strip, word, (columns[4], middle + style.capital // 2), _WHITE)
    return np.concatenate([image, strip])


def _entry_widths(style: Style) -> list[int]:
    """Return the widths of the legend's entries: margin, line, gap, text, margin."""
    return [6 * style.capital + style.text_width(word) for word in _LEGEND]


def _dashes(corners: Corners, dash: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield both ends (x, y) of each dash of a box; dashes and gaps are ``dash`` pixels long."""
    left, top, right, bottom = corners
    for x in range(left, right + 1, 2 * dash):
        end = min(x + dash - 1, right)
        yield from (((x, y), (end, y)) for y in (top, bottom))
    for y in range(top, bottom + 1, 2 * dash):
        end = min(y + dash - 1, bottom)
        yield from (((x, y), (x, end)) for x in (left, right))
