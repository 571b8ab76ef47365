"""Prior boxes: what each cell of each feature map predicts from."""

# P priors, L levels

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["PRIORS_PER_CELL", "prior_boxes"]

ASPECT_RATIOS = (2.0, 1 / 2, 3.0, 1 / 3)
PRIORS_PER_CELL = 2 + len(ASPECT_RATIOS)


def prior_boxes(
    map_sizes: Sequence[tuple[int, int]], min_scale: float = 0.2, max_scale: float = 0.95
) -> Float[Tensor, "P 4"]:
    """Prior boxes of all levels in centre form, relative to the image's width and height.

    Level k of L has the scale ``min + (max - min) k / (L - 1)`` (SSD, arXiv 1512.02325, equation
    4), and six priors a cell: the square of that scale, the square of the geometric mean with the
    next level's (1 after the last), and width to height ratios 2, 1/2, 3, 1/3. Centres lie at
    ``(i + 0.5) / map size``; sides are cut at 1. Row order: level, row, column, prior.

    Args:
        map_sizes: (height, width) of each level's feature map, finest first.
        min_scale: Scale of the first level.
        max_scale: Scale of the last level.
    """
    steps = max(1, len(map_sizes) - 1)
    scales = [min_scale + (max_scale - min_scale) * k / steps for k in range(len(map_sizes))]
    levels = [
        _level(map_size, _shapes(scale, following))
        for map_size, (scale, following) in zip(map_sizes, pairwise([*scales, 1.0]), strict=True)
    ]
    return torch.cat(levels)


def _shapes(scale: float, following: float) -> Float[Tensor, "a 2"]:
    """(width, height) of a cell's priors."""
    mean = (scale * following) ** 0.5
    shapes = [(scale, scale), (mean, mean)]
    shapes += [(scale * ratio**0.5, scale / ratio**0.5) for ratio in ASPECT_RATIOS]
    return torch.tensor(shapes).clamp(max=1)


def _level(map_size: tuple[int, int], shapes: Float[Tensor, "a 2"]) -> Float[Tensor, "p 4"]:
    height, width = map_size
    y = (torch.arange(height) + 0.5) / height
    x = (torch.arange(width) + 0.5) / width
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    centres = torch.stack([grid_x, grid_y], dim=-1).reshape(-1, 1, 2)
    priors = torch.cat(
        [centres.expand(-1, len(shapes), 2), shapes.expand(height * width, -1, 2)], dim=-1
    )
    return priors.reshape(-1, 4)
