"""A sheet of augmented training images with their boxes, which shows wrong data at a glance."""

# H and W the height and width of images of the network's size

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy import ndarray

import vision.boxes as box_ops
from vision.data import augment_batch, collate
from vision.engine.pictures import draw_target
from vision.engine.run import Run
from vision.images import resize
from vision.media import write_image
from vision.structures import Target

COLUMNS = 4
IMAGES = 16
LONG_SIDE = 400
"""Of an image on the sheet, in pixels."""
GAP, CAPTION, HEAD, DPI = 8, 20, 30, 100
"""Pixels between images, below each for its name, and above all; and in an inch."""
NAME = 50
"""Last characters of a file's name that are shown."""


def draw_sheet(run: Run, path: Path) -> None:
    """Write the first images of the first epoch as a PNG, as the network gets them.

    An image's augmentation depends on its key alone, so that training draws the same random
    numbers as without the sheet.

    Raises:
        DataError: If an image cannot be read, or the sheet not be written.
    """
    samples = list(islice(_samples(run), IMAGES))
    height, width = samples[0][0].shape[:2]
    head = (
        f"training images as the network gets them, {height} x {width} pixels; white lines:"
        " labelled boxes, dashed: ignored ones (difficult, crowds)"
    )
    scale = LONG_SIDE / max(height, width)
    height, width = round(height * scale), round(width * scale)
    rows = -(-len(samples) // COLUMNS)
    whole_wh = GAP + COLUMNS * (width + GAP), HEAD + rows * (height + CAPTION)
    figure = Figure(figsize=(whole_wh[0] / DPI, whole_wh[1] / DPI), dpi=DPI)
    canvas = FigureCanvasAgg(figure)

    def write(text: str, x: int, y: int) -> None:
        figure.text(x / whole_wh[0], y / whole_wh[1], text, fontsize=8, parse_math=False)

    write(head, GAP, whole_wh[1] - HEAD * 2 // 3)
    for index, (image, target) in enumerate(samples):
        x = GAP + index % COLUMNS * (width + GAP)
        y = whole_wh[1] - HEAD - index // COLUMNS * (height + CAPTION) - height
        boxes = box_ops.scale(target.boxes, target.size, (height, width))
        scaled = replace(target, boxes=boxes, size=(height, width))
        picture = draw_target(resize(image, (height, width)), scaled, run.state.names)
        figure.figimage(picture, x, y, origin="upper")
        write(Path(str(target.image_id)).name[-NAME:], x, y - CAPTION * 2 // 3)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.array(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    write_image(path, pixels[..., :3])


def _samples(run: Run) -> Iterator[tuple[UInt8[ndarray, "H W 3"], Target]]:
    """The images of the first epoch in their order, augmented here and on the device."""
    run.sampler.epoch, run.sampler.start = 0, 0
    for step, keys in enumerate(run.sampler):
        batch = collate([run.train_set[key] for key in keys[:IMAGES]])
        preset = run.settings.device_preset
        if preset is not None:
            batch = augment_batch(batch, preset, run.settings.seed, 0, step, run.processes.rank)
        yield from zip(batch.images.permute(0, 2, 3, 1).numpy(), batch.targets, strict=True)
