"""Prior scales fitted to the boxes of a data set."""

# n boxes

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
"""Maximum number of boxes with which scales are tried, evenly spread over the data."""
SAME_REACH = 0.002
"""Resolution at which fractions of reached boxes are compared."""


def fit_scales(
    boxes: Float[Tensor, "n 4"],
    map_sizes: Sequence[tuple[int, int]],
    layout: PriorLayout,
    match_iou: float = 0.5,
) -> PriorLayout:
    """Return the layout with the smallest and largest scale with which priors reach most boxes.

    Among scales that reach about the same number of boxes, those are chosen whose best priors have
    the highest mean IoU with the boxes.

    Args:
        boxes: Relative to the image, in corner form; at least one.
        map_sizes: (height, width) of each level's feature map, finest first.
        layout: A layout whose priors tile the image and whose scales have even steps.
        match_iou: A prior reaches a box if their IoU is at least this.
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
    """Return each box's IoU with its best prior, for priors that tile the image.

    Among priors of the same shape, the one with the nearest centre overlaps a box most, so only one
    cell of each level is examined.
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
