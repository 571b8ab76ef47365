"""Prior boxes: what each cell of each feature map predicts from."""

# P priors, L levels

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vision.model.variants import PriorStyle

__all__ = ["prior_boxes", "priors_per_cell"]

ASPECT_RATIOS = (2.0, 1 / 2, 3.0, 1 / 3)
FEW_RATIOS = (2.0, 1 / 2)


def priors_per_cell(num_levels: int, style: PriorStyle = PriorStyle()) -> list[int]:  # noqa: B008
    """Priors of a cell of each level."""
    first = 1 + len(FEW_RATIOS) if style.few_on_first else 2 + len(ASPECT_RATIOS)
    return [first] + [2 + len(ASPECT_RATIOS)] * (num_levels - 1)


def prior_boxes(
    map_sizes: Sequence[tuple[int, int]],
    min_scale: float = 0.2,
    max_scale: float = 0.95,
    style: PriorStyle = PriorStyle(),  # noqa: B008
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
        style: Another project's layout.
    """
    steps = max(1, len(map_sizes) - 1)
    scales = style.scales or tuple(
        min_scale + (max_scale - min_scale) * k / steps for k in range(len(map_sizes))
    )
    levels = []
    for index, map_size in enumerate(map_sizes):
        following = (*scales, style.last_scale)[index + 1]
        few = style.few_on_first and index == 0
        shapes = _few_shapes(scales[0]) if few else _shapes(scales[index], following)
        stride = None if style.strides is None else style.strides[index]
        levels.append(_level(map_size, shapes, stride))
    priors = torch.cat(levels)
    if style.limits == "all":
        return priors.clamp(0, 1)
    if style.limits == "sides":
        priors[:, 2:] = priors[:, 2:].clamp(max=1)
    return priors


def _shapes(scale: float, following: float) -> Float[Tensor, "a 2"]:
    """(width, height) of a cell's priors."""
    mean = (scale * following) ** 0.5
    shapes = [(scale, scale), (mean, mean)]
    return torch.tensor(shapes + _elongated(scale, ASPECT_RATIOS))


def _few_shapes(scale: float) -> Float[Tensor, "a 2"]:
    """(width, height) of a cell's priors where there are three."""
    return torch.tensor([(scale / 2, scale / 2), *_elongated(scale, FEW_RATIOS)])


def _elongated(scale: float, ratios: Sequence[float]) -> list[tuple[float, float]]:
    return [(scale * ratio**0.5, scale / ratio**0.5) for ratio in ratios]


def _level(
    map_size: tuple[int, int], shapes: Float[Tensor, "a 2"], stride: float | None
) -> Float[Tensor, "p 4"]:
    height, width = map_size
    y, x = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    y, x = (y / height, x / width) if stride is None else (y * stride, x * stride)
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    centres = torch.stack([grid_x, grid_y], dim=-1).reshape(-1, 1, 2)
    priors = torch.cat(
        [centres.expand(-1, len(shapes), 2), shapes.expand(height * width, -1, 2)], dim=-1
    )
    return priors.reshape(-1, 4)
