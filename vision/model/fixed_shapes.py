"""Post-processing in tensors of fixed shapes, without synchronising with the host: for CUDA graphs.

The result equals that of `vision.model.postprocess.PostProcess`, or is marked as incomplete.
"""

# N images, P priors, C classes, K candidates, D detections of an image

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

import vision.boxes as box_ops
from vision.model.postprocess import PostProcess
from vision.structures import Decoded

ROUNDS = 24
"""Number of rounds of `greedy_nms`, which resolve chains of up to as many boxes, each of which
decides whether the next one is kept."""
PAIRS_AT_ONCE = 8_000_000
"""Number of overlaps computed at once, which limits the memory to 64 MB for each operation."""


class FixedDetections(NamedTuple):
    """The detections of each image, highest score first; rows of zeros are padding.

    Attributes:
        rows: Box in pixels (``xyxy``), score and label.
        is_complete: Whether the image's rows equal the result of `PostProcess`: there was room for
            all candidates, and suppression converged.
    """

    rows: Float32[Tensor, "N D 6"]
    is_complete: Bool[Tensor, "N"]


@torch.no_grad()
def detect_in_fixed_shapes(
    post_process: PostProcess,
    decoded: Decoded,
    corners: Float32[Tensor, "N 2"],
    thresholds: Float32[Tensor, "N C"],
    width: int | None = None,
) -> FixedDetections:
    """Compute the detections of each image by operations whose shapes do not depend on the values.

    Args:
        post_process: The settings.
        decoded: Boxes and scores of the images.
        corners: Width and height of each original image.
        thresholds: Threshold of each class, instead of ``post_process.score_threshold``.
        width: Number of candidates of an image for which there is room; None for
            ``post_process.max_candidates``.
    """
    above = decoded.scores > thresholds[:, None]
    num_above = above.flatten(1).sum(dim=1)
    selected = post_process.select_above(decoded, above, width or above[0].numel())
    is_complete = (
        torch.ones_like(num_above, dtype=torch.bool) if width is None else num_above <= width
    )
    labels = selected.labels
    pixels, compared, scores = post_process.place(selected, corners)
    if post_process.suppression == "soft_nms":
        chosen, scores = post_process.soften(compared, scores, labels)
        scores = torch.where(scores > thresholds.gather(1, labels.gather(1, chosen)), scores, 0.0)
    else:
        groups = torch.zeros_like(labels) if post_process.class_agnostic else labels
        is_kept, is_settled = _in_parts(compared, scores, groups, post_process.nms_iou)
        is_complete = is_complete & is_settled
        chosen = (~is_kept).to(torch.uint8).argsort(dim=1, stable=True)
        chosen = chosen[:, : post_process.max_detections]
        scores = torch.where(is_kept, scores, 0.0).gather(1, chosen)
    boxes = pixels.gather(1, chosen[..., None].expand(-1, -1, 4))
    labels = labels.gather(1, chosen)
    rows = torch.cat([boxes, scores[..., None], labels[..., None].to(scores.dtype)], dim=2)
    # Empty rows are zeroed, since their values depend on how ties of the score 0 are resolved.
    return FixedDetections(torch.where(scores[..., None] > 0, rows, 0.0), is_complete)


def _in_parts(
    boxes: Float32[Tensor, "N K 4"],
    scores: Float32[Tensor, "N K"],
    groups: Int64[Tensor, "N K"],
    iou_threshold: float,
) -> tuple[Bool[Tensor, "N K"], Bool[Tensor, "N"]]:
    """Run `greedy_nms` on a few images at a time, which limits the memory."""
    at_once = max(1, PAIRS_AT_ONCE // scores.shape[1] ** 2)
    results = []
    for start in range(0, len(scores), at_once):
        part = slice(start, start + at_once)
        results.append(greedy_nms(boxes[part], scores[part], groups[part], iou_threshold))
    is_kept, is_settled = zip(*results, strict=True)
    return torch.cat(is_kept), torch.cat(is_settled)


def greedy_nms(
    boxes: Float32[Tensor, "N K 4"],
    scores: Float32[Tensor, "N K"],
    groups: Int64[Tensor, "N K"],
    iou_threshold: float,
) -> tuple[Bool[Tensor, "N K"], Bool[Tensor, "N"]]:
    """Return which boxes `vision.boxes.nms` keeps, and for which images this is certain.

    All boxes are kept at first. Then each round drops the boxes that overlap a better box which
    the previous round kept: after n rounds the decision is right for each box that depends on a
    chain of at most n others, and if a round changes nothing, it is right for all boxes.

    Args:
        boxes: ``xyxy``.
        scores: In descending order; boxes with score 0 are not kept.
        groups: Boxes suppress each other within a group.
        iou_threshold: In [0, 1].
    """
    exact = boxes.double()  # as in `vision.boxes.nms`
    overlaps = box_ops.iou(exact, exact) > iou_threshold
    overlaps &= groups[:, :, None] == groups[:, None, :]
    # Row i marks the later boxes that box i suppresses. Sums of ones above 2048 are inexact in
    # float16, but never become 0.
    weight = torch.float16 if boxes.is_cuda else torch.float32
    suppresses = overlaps.triu(1).to(weight)
    candidates = (scores > 0).to(weight)[:, None]
    is_kept = before = candidates
    for _ in range(ROUNDS):
        before = is_kept
        # 1 for a candidate, minus the number of kept boxes that suppress it.
        is_kept = torch.baddbmm(candidates, before, suppresses, alpha=-1).clamp_(min=0)
    return is_kept[:, 0] > 0, (is_kept == before).all(dim=2)[:, 0]
