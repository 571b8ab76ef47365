"""Box geometry: pure functions of tensors.

Boxes are ``xyxy`` (x0, y0, x1, y1) in continuous coordinates, so that a box's width is
``x1 - x0``. Other forms are ``cxcywh`` (centre x, centre y, width, height) and COCO's ``xywh``
(x0, y0, width, height); a function that takes or returns one names it.
"""

# b batch dimensions, m and p boxes of two sets, n images, k detections

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

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
    "xywh_to_xyxy",
    "xyxy_to_xywh",
]

CENTRE_VARIANCE = 0.1
SIZE_VARIANCE = 0.2
MAX_LOG_RATIO = math.log(1000 / 16)
"""`decode` limits the ratios of width and height to 62.5, so that no box overflows."""


def to_centre(boxes: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 4"]:
    """``xyxy`` to ``cxcywh``."""
    top_left, bottom_right = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(top_left + bottom_right) / 2, bottom_right - top_left], dim=-1)


def to_corners(boxes: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 4"]:
    """``cxcywh`` to ``xyxy``."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def xywh_to_xyxy(boxes: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 4"]:
    """COCO's ``xywh`` to ``xyxy``."""
    top_left = boxes[..., :2]
    return torch.cat([top_left, top_left + boxes[..., 2:]], dim=-1)


def xyxy_to_xywh(boxes: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 4"]:
    """``xyxy`` to COCO's ``xywh``."""
    top_left = boxes[..., :2]
    return torch.cat([top_left, boxes[..., 2:] - top_left], dim=-1)


def area(boxes: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b"]:
    """Areas, 0 for a box whose corners are crossed."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)


def clip(boxes: Float[Tensor, "*b 4"], size: tuple[int, int]) -> Float[Tensor, "*b 4"]:
    """Boxes clipped to an image of ``size`` (height, width)."""
    height, width = size
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))


def check_columns(
    owner: str, boxes: Tensor, columns: dict[str, tuple[Tensor, torch.dtype]]
) -> None:
    """Raise ValueError unless ``boxes`` is float32 (n, 4) and each column is (n,) of its dtype."""
    if boxes.dtype != torch.float32 or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(
            f"{owner}.boxes: expected float32 of shape (n, 4), got {boxes.dtype} of shape"
            f" {tuple(boxes.shape)}"
        )
    for name, (column, dtype) in columns.items():
        if column.dtype != dtype or column.shape != boxes.shape[:1]:
            raise ValueError(
                f"{owner}.{name}: expected {dtype} of shape ({len(boxes)},), got {column.dtype}"
                f" of shape {tuple(column.shape)}"
            )


def scale(
    boxes: Float[Tensor, "*b 4"], from_size: tuple[int, int], to_size: tuple[int, int]
) -> Float[Tensor, "*b 4"]:
    """Boxes scaled with their image from ``from_size`` to ``to_size`` (height, width)."""
    x_ratio, y_ratio = to_size[1] / from_size[1], to_size[0] / from_size[0]
    return boxes * boxes.new_tensor([x_ratio, y_ratio, x_ratio, y_ratio])


def intersection(
    first: Float[Tensor, "*b m 4"], second: Float[Tensor, "*b p 4"]
) -> Float[Tensor, "*b m p"]:
    """Area of the intersection of each box of ``first`` with each box of ``second``."""
    a, b = first[..., :, None, :], second[..., None, :, :]
    width = torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])
    height = torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])
    return width.clamp_(min=0).mul_(height.clamp_(min=0))


def iou(first: Float[Tensor, "*b m 4"], second: Float[Tensor, "*b p 4"]) -> Float[Tensor, "*b m p"]:
    """Intersection over union, in [0, 1]; 0 where neither box has an area."""
    overlap = intersection(first, second)
    union = area(first)[..., :, None] + area(second)[..., None, :] - overlap
    return torch.where(union > 0, overlap / union, 0.0)


def encode(boxes: Float[Tensor, "*b 4"], priors: Float[Tensor, "*#b 4"]) -> Float[Tensor, "*b 4"]:
    """Regression targets of boxes relative to priors, both ``cxcywh``, as SSD defines them.

    ``(centre - prior centre) / prior size / 0.1`` and ``log(size / prior size) / 0.2``
    (SSD, arXiv 1512.02325, equation 2, with the variances of the authors' code).
    Widths and heights must be positive.
    """
    centre = (boxes[..., :2] - priors[..., :2]) / priors[..., 2:] / CENTRE_VARIANCE
    size = torch.log(boxes[..., 2:] / priors[..., 2:]) / SIZE_VARIANCE
    return torch.cat([centre, size], dim=-1)


def decode(offsets: Float[Tensor, "*b 4"], priors: Float[Tensor, "*#b 4"]) -> Float[Tensor, "*b 4"]:
    """Boxes ``cxcywh`` from offsets; the inverse of `encode` for ratios up to 62.5."""
    centre = offsets[..., :2] * CENTRE_VARIANCE * priors[..., 2:] + priors[..., :2]
    log_ratio = (offsets[..., 2:] * SIZE_VARIANCE).clamp(max=MAX_LOG_RATIO)
    return torch.cat([centre, torch.exp(log_ratio) * priors[..., 2:]], dim=-1)


def nms(
    boxes: Float[Tensor, "k 4"],
    scores: Float[Tensor, "k"],
    groups: Int64[Tensor, "k"],
    iou_threshold: float,
) -> Int64[Tensor, "kept"]:
    """Indices of the boxes that greedy non-maximum suppression keeps, highest score first.

    A box is suppressed if its IoU with a kept box of higher score in the same group is above
    ``iou_threshold``.

    Args:
        boxes: ``xyxy``.
        scores: Confidences, in any order.
        groups: The group of each box, in which boxes suppress each other: the class, or a number
            for class and image if the boxes are of several images.
        iou_threshold: In [0, 1].
    """
    from torchvision.ops import batched_nms  # noqa: PLC0415 - takes longer to import than PyTorch

    # torchvision's batched_nms translates each group to a region of its own and runs one NMS. The
    # translated coordinates are so large that float32 would lose the digits that decide the IoU.
    if boxes.device.type != "mps":  # MPS has no float64.
        boxes = boxes.double()
    if len(boxes):  # Negative corners would be in the region of another group.
        boxes = boxes - boxes.min().clamp(max=0)
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

    The box with the highest score is selected, the scores of the other boxes of its group are
    multiplied by ``exp(-IoU^2 / sigma)``, and this is repeated ``num_kept`` times.

    Args:
        boxes: ``xyxy``.
        scores: Confidences, in any order.
        groups: The class of each box: boxes of different classes do not affect each other.
        sigma: Width of the Gaussian: the smaller, the more an overlap lowers the score.
        num_kept: Number of boxes to select.

    Returns:
        Indices of the boxes in the order of selection, and their scores in descending order; the
        score is 0 where an image has no box left.
    """
    scores = scores.clone()
    rows = torch.arange(len(boxes), device=boxes.device)
    selected, selected_scores = [], []
    for _ in range(min(num_kept, boxes.shape[1])):
        best_scores, best = scores.max(dim=1)
        selected.append(best)
        selected_scores.append(best_scores)
        overlap = iou(boxes[rows, best][:, None], boxes)[:, 0]
        is_same_group = groups == groups[rows, best][:, None]
        scores *= torch.where(is_same_group, torch.exp(-(overlap**2) / sigma), 1.0)
        scores.scatter_(1, best[:, None], 0.0)  # A selected box is not selected again.
    return torch.stack(selected, dim=1), torch.stack(selected_scores, dim=1)
