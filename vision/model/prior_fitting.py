"""Prior scales for the boxes of a data set."""

# n boxes, A priors of a cell, h w a map's height and width

import itertools
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from vision.model.priors import PriorLayout, prior_shapes

MIN_SCALES = [percent / 100 for percent in range(3, 41)]
MAX_SCALES = [percent / 100 for percent in (50, 60, 70, 80, 90, 95, 100)]
MAX_BOXES = 3000
"""Maximum number of boxes that scales are tried on, evenly spread over the data."""
SAME_REACH = 0.002
"""Fractions of boxes within reach that differ by less are taken for equal."""


def fit_scales(
    boxes: Float[Tensor, "n 4"],
    map_sizes: Sequence[tuple[int, int]],
    layout: PriorLayout,
    match_iou: float = 0.5,
) -> PriorLayout:
    """The layout with the smallest and largest scale that let priors reach the most boxes.

    Among scales that reach about as many, those whose best priors overlap the boxes most.

    Args:
        boxes: Relative, in corner form; at least one.
        map_sizes: (height, width) of each level's feature map, finest first.
        layout: Of priors that tile the image, with scales in even steps.
        match_iou: The IoU from which on a prior reaches a box.
    """
    boxes = boxes[:: -(-len(boxes) // MAX_BOXES)]
    best, fitted = (-1.0, 0.0), layout
    for min_scale, max_scale in itertools.product(MIN_SCALES, MAX_SCALES):
        tried = replace(layout, min_scale=min_scale, max_scale=max_scale)
        overlaps = best_overlaps(boxes, map_sizes, tried)
        reached = (overlaps >= match_iou).float().mean().item()
        quality = (round(reached / SAME_REACH), overlaps.mean().item())
        if quality > best:
            best, fitted = quality, tried
    return fitted


def best_overlaps(
    boxes: Float[Tensor, "n 4"], map_sizes: Sequence[tuple[int, int]], layout: PriorLayout
) -> Float[Tensor, "n"]:
    """Each box's IoU with its best prior, where priors tile the image.

    Of the priors of one shape that with the nearest centre overlaps most, so that one cell of each
    level is looked at instead of all.
    """
    starts, ends = boxes[:, None, :2], boxes[:, None, 2:]
    areas = (ends - starts).prod(dim=2)
    best = torch.zeros(len(boxes))
    for (height, width), shapes in zip(
        map_sizes, prior_shapes(len(map_sizes), layout), strict=True
    ):
        cells = torch.tensor([width, height])
        column_row = ((starts + ends) / 2 * cells).floor().clamp(min=0).minimum(cells - 1)
        centres = (column_row + 0.5) / cells
        sides = torch.minimum(ends, centres + shapes / 2) - torch.maximum(
            starts, centres - shapes / 2
        )
        shared = sides.clamp(min=0).prod(dim=2)
        overlaps = shared / (areas + shapes.prod(dim=1) - shared)
        best = torch.maximum(best, overlaps.amax(dim=1))
    return best
