"""Box geometry: pure functions of tensors, without state.

Boxes are ``xyxy`` (x0, y0, x1, y1), continuous, so that a box's width is ``x1 - x0``; a function
that takes or gives centre form (centre x, centre y, width, height) says so in its name or text.
"""

# N images, P priors, M objects, K detections

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchvision.ops import batched_nms

__all__ = [
    "area",
    "clip",
    "decode",
    "encode",
    "intersection",
    "iou",
    "nms",
    "scale",
    "soft_nms",
    "to_centre",
    "to_corners",
]

CENTRE_VARIANCE = 0.1
SIZE_VARIANCE = 0.2
MAX_LOG_RATIO = math.log(1000 / 16)
"""The largest width or height ratio that `decode` gives is 62.5, so that no box overflows."""


def to_centre(boxes: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 4"]:
    """Corner form to centre form."""
    top_left, bottom_right = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(top_left + bottom_right) / 2, bottom_right - top_left], dim=-1)


def to_corners(boxes: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 4"]:
    """Centre form to corner form."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def area(boxes: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b"]:
    """Areas, 0 for a box whose corners are crossed."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)


def clip(boxes: Float[Tensor, "*b 4"], size: tuple[int, int]) -> Float[Tensor, "*b 4"]:
    """Boxes cut off at the borders of an image of ``size`` (height, width)."""
    height, width = size
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))


def scale(
    boxes: Float[Tensor, "*b 4"], from_size: tuple[int, int], to_size: tuple[int, int]
) -> Float[Tensor, "*b 4"]:
    """Boxes of an image of ``from_size`` (height, width) on that image resized to ``to_size``."""
    x_ratio, y_ratio = to_size[1] / from_size[1], to_size[0] / from_size[0]
    return boxes * boxes.new_tensor([x_ratio, y_ratio, x_ratio, y_ratio])


def intersection(
    first: Float[Tensor, "*b m 4"], second: Float[Tensor, "*b p 4"]
) -> Float[Tensor, "*b m p"]:
    """Area that each box of ``first`` shares with each box of ``second``."""
    a, b = first[..., :, None, :], second[..., None, :, :]
    width = torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])
    height = torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])
    return width.clamp_(min=0).mul_(height.clamp_(min=0))


def iou(first: Float[Tensor, "*b m 4"], second: Float[Tensor, "*b p 4"]) -> Float[Tensor, "*b m p"]:
    """Intersection over union, in [0, 1]; 0 where both boxes are without area."""
    shared = intersection(first, second)
    union = area(first)[..., :, None] + area(second)[..., None, :] - shared
    return torch.where(union > 0, shared / union, 0.0)


def encode(boxes: Float[Tensor, "*b 4"], priors: Float[Tensor, "*#b 4"]) -> Float[Tensor, "*b 4"]:
    """Offsets of boxes from priors, both in centre form, as SSD regresses them.

    ``(centre - prior centre) / prior size / 0.1`` and ``log(size / prior size) / 0.2``
    (SSD, arXiv 1512.02325, equation 2, with the variances of the authors' code).
    Widths and heights must be positive.
    """
    centre = (boxes[..., :2] - priors[..., :2]) / priors[..., 2:] / CENTRE_VARIANCE
    size = torch.log(boxes[..., 2:] / priors[..., 2:]) / SIZE_VARIANCE
    return torch.cat([centre, size], dim=-1)


def decode(offsets: Float[Tensor, "*b 4"], priors: Float[Tensor, "*#b 4"]) -> Float[Tensor, "*b 4"]:
    """Boxes in centre form from offsets; the inverse of `encode` for ratios up to 62.5."""
    centre = offsets[..., :2] * CENTRE_VARIANCE * priors[..., 2:] + priors[..., :2]
    log_ratio = (offsets[..., 2:] * SIZE_VARIANCE).clamp(max=MAX_LOG_RATIO)
    return torch.cat([centre, torch.exp(log_ratio) * priors[..., 2:]], dim=-1)


def nms(
    boxes: Float[Tensor, "k 4"],
    scores: Float[Tensor, "k"],
    groups: Int64[Tensor, "k"],
    iou_threshold: float,
) -> Int64[Tensor, "kept"]:
    """Indices that non-maximum suppression keeps, highest score first.

    A box goes when its IoU with a kept box of the same group is above ``iou_threshold``. Groups
    are classes, or classes of one image of several.
    """
    if boxes.device.type != "mps":  # which has no float64
        # torchvision sets groups apart by shifts, which cost float32 its last digits.
        boxes = boxes.double()
    kept: Tensor = batched_nms(boxes, scores.to(boxes.dtype), groups, iou_threshold)
    return kept


def soft_nms(
    boxes: Float[Tensor, "n k 4"],
    scores: Float[Tensor, "n k"],
    groups: Int64[Tensor, "n k"],
    sigma: float,
    num_kept: int,
) -> tuple[Int64[Tensor, "n kept"], Float[Tensor, "n kept"]]:
    """Soft-NMS with the Gaussian penalty (arXiv 1704.04503, equation 4), for n images at once.

    The best box is taken, the scores of the others of its group are multiplied by
    ``exp(-IoU^2 / sigma)``, and so on.

    Returns:
        Indices of the boxes in the order in which they were taken, and their falling scores: 0
        where an image has no box left.
    """
    scores = scores.clone()
    rows = torch.arange(len(boxes), device=boxes.device)
    chosen, values = [], []
    for _ in range(min(num_kept, boxes.shape[1])):
        value, best = scores.max(dim=1)
        chosen.append(best)
        values.append(value)
        overlap = iou(boxes[rows, best][:, None], boxes)[:, 0]
        same = groups == groups[rows, best][:, None]
        scores *= torch.where(same, torch.exp(-(overlap**2) / sigma), 1.0)
        scores[rows, best] = 0.0
    return torch.stack(chosen, dim=1), torch.stack(values, dim=1)
