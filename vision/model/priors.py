"""Prior boxes (anchors) of each cell of each feature map."""

# P priors of all levels, p priors of one level, A priors of one cell

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

ASPECT_RATIOS = (2.0, 1 / 2, 3.0, 1 / 3)
REDUCED_RATIOS = (2.0, 1 / 2)


@dataclass(frozen=True, slots=True)
class PriorLayout:
    """How priors are laid out; lengths are fractions of the image's sides.

    Attributes:
        min_scale: Scale of the finest level.
        max_scale: Scale of the coarsest level.
        scales: Scale of each level; None for even steps from ``min_scale`` to ``max_scale``.
        last_scale: The scale that follows the last level's, for that level's second square.
        strides: Distance between centres at each level; None for 1 / map size, which tiles the
            image.
        clip: What is clipped to [0, 1]: nothing, the widths and heights (``sides``), or also the
            centres (``all``).
        reduce_boxes_in_lowest_layer: Whether the first level has three priors a cell: a square of
            half the scale, and the ratios 2 and 1/2 at the full scale.
    """

    min_scale: float = 0.2
    max_scale: float = 0.95
    scales: tuple[float, ...] | None = None
    last_scale: float = 1.0
    strides: tuple[float, ...] | None = None
    clip: Literal["none", "sides", "all"] = "sides"
    reduce_boxes_in_lowest_layer: bool = False


def priors_per_cell(num_levels: int, layout: PriorLayout = PriorLayout()) -> list[int]:
    """Return the number of priors per cell at each level."""
    counts = [2 + len(ASPECT_RATIOS)] * num_levels
    if layout.reduce_boxes_in_lowest_layer:
        counts[0] = 1 + len(REDUCED_RATIOS)
    return counts


def prior_boxes(
    map_sizes: Sequence[tuple[int, int]], layout: PriorLayout = PriorLayout()
) -> Float[Tensor, "P 4"]:
    """Build the prior boxes of all levels in centre form, relative to image width and height.

    By default, level k of L has the scale ``min + (max - min) k / (L - 1)`` (SSD, arXiv 1512.02325,
    section 2.2, equation 4) and six priors per cell: a square of that scale, a square of the
    geometric mean of it and the next level's scale (1 after the last), and the width to height
    ratios 2, 1/2, 3 and 1/3. Centres lie at ``(i + 0.5) / map size``; widths and heights are
    clipped to 1. Row order: level, row, column, prior.

    Args:
        map_sizes: (height, width) of each level's feature map, finest first.
        layout: The scales, and the settings in which other projects differ.
    """
    levels = []
    for index, shapes in enumerate(prior_shapes(len(map_sizes), layout)):
        stride = None if layout.strides is None else layout.strides[index]
        levels.append(_level(map_sizes[index], shapes, stride))
    priors = torch.cat(levels)
    return priors.clamp(0, 1) if layout.clip == "all" else priors


def prior_shapes(num_levels: int, layout: PriorLayout) -> list[Float[Tensor, "A 2"]]:
    """Return the (width, height) of a cell's priors at each level."""
    span, steps = layout.max_scale - layout.min_scale, max(1, num_levels - 1)
    scales = layout.scales or tuple(layout.min_scale + span * k / steps for k in range(num_levels))
    levels = []
    for index, scale in enumerate(scales):
        if layout.reduce_boxes_in_lowest_layer and index == 0:
            shapes = [(scale / 2, scale / 2), *_elongated(scale, REDUCED_RATIOS)]
        else:
            mean = (scale * (*scales, layout.last_scale)[index + 1]) ** 0.5
            shapes = [(scale, scale), (mean, mean), *_elongated(scale, ASPECT_RATIOS)]
        levels.append(torch.tensor(shapes).clamp(max=math.inf if layout.clip == "none" else 1))
    return levels


def _elongated(scale: float, ratios: Sequence[float]) -> list[tuple[float, float]]:
    """Return the (width, height) of boxes of area ``scale ** 2`` with these width/height ratios."""
    return [(scale * ratio**0.5, scale / ratio**0.5) for ratio in ratios]


def _level(
    map_size: tuple[int, int], shapes: Float[Tensor, "A 2"], stride: float | None
) -> Float[Tensor, "p 4"]:
    """Place priors of these ``shapes`` (width, height) at each cell of one feature map."""
    height, width = map_size
    y, x = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    y, x = (y / height, x / width) if stride is None else (y * stride, x * stride)
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    centres = torch.stack([grid_x, grid_y], dim=-1).reshape(-1, 1, 2)
    priors = torch.cat(
        [centres.expand(-1, len(shapes), 2), shapes.expand(height * width, -1, 2)], dim=-1
    )
    return priors.reshape(-1, 4)
