"""A sheet of augmented training images with their boxes, which makes wrong data easy to see."""

from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

import vision.boxes as box_ops
from vision.engine.pictures import draw_target
from vision.engine.run import Run
from vision.images import resize
from vision.media import write_image

COLUMNS = 4
IMAGES = 16
LONG_SIDE = 400
"""Longer side of an image on the sheet, in pixels."""
GAP, CAPTION, HEAD, DPI = 8, 20, 30, 100
"""Pixels between images, below each image for its name, at the top of the sheet, and per inch."""
NAME = 50
"""Maximum number of characters of a file name; longer names are shortened in the middle."""


def draw_sheet(run: Run, path: Path) -> None:
    """Write the first images of the first epoch as a PNG, as the network gets them.

    An image's augmentation depends only on its key, so that training draws the same random
    numbers as without the sheet.

    Raises:
        DataError: If an image cannot be read, or the sheet cannot be written.
    """
    run.sampler.epoch, run.sampler.start = 0, 0
    keys = islice(chain.from_iterable(run.sampler), IMAGES)
    samples = [run.train_set[key] for key in keys]
    height, width = samples[0].image.shape[:2]
    head = (
        f"training images as the network gets them, {height} x {width} pixels; white lines:"
        " labelled boxes, dashed: ignored ones (difficult, crowds)"
    )
    scale = LONG_SIDE / max(height, width)
    height, width = round(height * scale), round(width * scale)
    rows = -(-len(samples) // COLUMNS)
    whole_wh = GAP + COLUMNS * (width + GAP), HEAD + rows * (height + CAPTION)
    figure = Figure(figsize=(whole_wh[0] / DPI, whole_wh[1] / DPI), dpi=DPI)
    canvas, font = FigureCanvasAgg(figure), get_font(findfont(FontProperties()))

    def write(text: str, x: int, y: int) -> None:
        figure.text(x / whole_wh[0], y / whole_wh[1], text, fontsize=8, parse_math=False)

    write(head, GAP, whole_wh[1] - HEAD * 2 // 3)
    for index, (image, target) in enumerate(samples):
        x = GAP + index % COLUMNS * (width + GAP)
        y = whole_wh[1] - HEAD - index // COLUMNS * (height + CAPTION) - height
        boxes = box_ops.scale(target.boxes, target.size, (height, width))
        scaled = replace(target, boxes=boxes, size=(height, width))
        picture = draw_target(resize(image.numpy(), (height, width)), scaled, run.state.names)
        figure.figimage(picture, x, y, origin="upper")
        name = Path(str(target.image_id)).name
        if len(name) > NAME:
            name = f"{name[: NAME // 2 - 1]}..{name[1 - NAME // 2 :]}"
        # Matplotlib warns of characters that its font lacks, and fails at lone surrogates.
        name = "".join(char if font.get_char_index(ord(char)) else "?" for char in name)
        write(name, x, y - CAPTION * 2 // 3)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.array(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    write_image(path, pixels[..., :3])
