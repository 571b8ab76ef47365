"""Fitted prior scales: what they reach, against all priors and on boxes made for them."""

import pytest
import torch
from torch.testing import assert_close

import vision.boxes as box_ops
from vision.model import PriorLayout, fit_scales, prior_boxes
from vision.model.prior_fitting import best_overlaps

AT_320 = [(side, side) for side in (20, 10, 5, 3, 2, 1)]
WIDE = [(12, 20), (6, 10), (3, 5), (2, 3), (1, 2), (1, 1)]


def random_boxes(count: int, smallest: float, largest: float) -> torch.Tensor:
    """Boxes in corner form whose sides lie between two fractions of the image's."""
    generator = torch.Generator().manual_seed(0)
    sides = smallest + (largest - smallest) * torch.rand(count, 2, generator=generator)
    starts = (1 - sides) * torch.rand(count, 2, generator=generator)
    return torch.cat([starts, starts + sides], dim=1)


@pytest.mark.parametrize("map_sizes", [AT_320, WIDE])
@pytest.mark.parametrize(
    "layout",
    [
        PriorLayout(),
        PriorLayout(min_scale=0.05, max_scale=0.7),
        PriorLayout(clip="none", reduce_boxes_in_lowest_layer=True),
    ],
)
def test_the_nearest_cells_have_the_best_prior(
    map_sizes: list[tuple[int, int]], layout: PriorLayout
) -> None:
    boxes = random_boxes(300, 0.01, 1)
    overlaps = box_ops.iou(boxes, box_ops.to_corners(prior_boxes(map_sizes, layout)))
    assert_close(best_overlaps(boxes, map_sizes, layout), overlaps.amax(dim=1))


def test_small_boxes_get_small_priors_and_large_ones_large() -> None:
    layout = PriorLayout()
    small, large = random_boxes(200, 0.08, 0.12), random_boxes(200, 0.5, 0.9)
    for boxes in (small, torch.cat([small, large])):
        fitted = fit_scales(boxes, AT_320, layout)
        before, after = (best_overlaps(boxes, AT_320, each) >= 0.5 for each in (layout, fitted))
        assert after.float().mean() > before.float().mean() + 0.2
        assert fitted.min_scale < 0.15
    assert fit_scales(large, AT_320, layout).min_scale > 0.2


def test_what_the_scales_do_not_set_stays() -> None:
    layout = PriorLayout(clip="none", reduce_boxes_in_lowest_layer=True)
    fitted = fit_scales(random_boxes(1, 0.1, 0.2), AT_320, layout)
    assert (fitted.clip, fitted.reduce_boxes_in_lowest_layer) == ("none", True)
