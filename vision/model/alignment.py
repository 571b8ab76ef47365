"""Task-aligned assignment of objects to priors, which follows the predictions, and its losses."""

# N batch, P priors, C classes, K objects of a chunk

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

import vision.boxes as box_ops
from vision.model.matching import (
    CHUNK_PAIRS,
    Matches,
    find_ignored,
    give_free,
    max_per_image,
    rows_of,
    sort_keys,
)
from vision.structures import PackedTargets, Predictions

BETA = 6
"""Exponent of the IoU; the score's exponent is 1 (TOOD, section 4, "On hyper-parameters")."""
NUM_CANDIDATES = 13
"""Maximum number of priors that an object gets: TOOD's m, same section."""
GIOU_WEIGHT = 2.0
"""Weight of the localisation loss relative to the classification loss (TOOD's code,
NanoDet-Plus)."""
MIN_ALIGNMENT = 1e-30
"""Lower bound of the divisor that normalises an object's alignments."""


def align(
    targets: PackedTargets,
    priors: Float[Tensor, "P 4"],
    predictions: Predictions,
    match_iou: float = 0.5,
) -> Matches:
    """Assign objects to priors by task alignment (TOOD, arXiv 2108.07755, section 3.2.1).

    The alignment of a prior with an object is the predicted score of the object's class times the
    sixth power of the predicted box's IoU with the object (equation 9). An object gets the 13
    priors with the highest alignment among those whose centres lie in its box. A prior that several
    objects would get is assigned to the one that its predicted box overlaps most. An object left
    without a prior gets the free prior that overlaps it most, as in `vision.model.matching.match`.

    The quality of a prior is its alignment, scaled so that an object's maximum equals the highest
    IoU of its priors' boxes (section 3.2.2). The quality of a free prior given to an object is at
    least its own IoU with the object, so that it contributes to training. A prior that is not
    positive is ignored if the IoU of its predicted box with a difficult object is at least
    ``match_iou``, or if at least that fraction of the box lies in a crowd region.

    All images are matched at once by a few operations that do not synchronise with the host. Very
    many objects are matched in chunks, and those left without a prior on the CPU.

    Args:
        targets: The objects of the images.
        priors: Relative to the image, in centre form.
        predictions: Predictions for the images, whose scores are sigmoids.
        match_iou: Lowest IoU with a difficult object at which a prior is ignored.
    """
    boxes = box_ops.to_corners(box_ops.decode(predictions.offsets.float(), priors))
    rows = _choose(targets, priors, predictions, boxes)
    forced = give_free(targets, priors, rows)
    rows = torch.where(forced >= 0, forced, rows)
    positive = rows >= 0
    ignored = torch.zeros_like(positive)
    if targets.has_ignored:
        ignored = ~positive & find_ignored(targets, boxes, match_iou)
    index = rows.clamp(min=0)
    objects = targets.boxes[index]
    least = _overlaps(objects, box_ops.to_corners(priors)).masked_fill(forced < 0, 0)
    overlaps = _overlaps(objects, boxes).masked_fill(~positive, 0)
    logits = predictions.logits.gather(2, targets.labels[index][..., None])[..., 0].float()
    quality = _scale(logits.sigmoid() * overlaps**BETA, overlaps, index, len(targets.rows))
    return Matches(rows, ignored, quality.maximum(least))


def _choose(
    targets: PackedTargets,
    priors: Float[Tensor, "P 4"],
    predictions: Predictions,
    boxes: Float[Tensor, "N P 4"],
) -> Int64[Tensor, "N P"]:
    """Return the row of the object that alignment assigns to each prior, -1 for none."""
    greatest = boxes.new_zeros(boxes.shape[:2])
    rows = torch.full(greatest.shape, -1, device=boxes.device)
    first = 0
    for chunk_rows in torch.split(targets.rows, max(1, CHUNK_PAIRS // len(priors))):
        chunk = targets._replace(rows=chunk_rows)
        overlaps = box_ops.iou(chunk.boxes[:, None], boxes[chunk.images])[:, 0]
        logits = predictions.logits[chunk.images, :, chunk.labels].float()
        alignment = logits.sigmoid() * overlaps**BETA
        candidates = alignment.masked_fill(~_inside(priors, chunk.boxes), 0)
        values, places = candidates.topk(min(NUM_CANDIDATES, len(priors)), dim=1)
        chosen = overlaps.gather(1, places).masked_fill(values <= 0, 0)
        keys = sort_keys(torch.zeros_like(overlaps).scatter(1, places, chosen), chunk.positive)
        best = max_per_image(keys, chunk)
        # The upper part of a key is the overlap.
        overlap = (best // keys.numel()).int().view(torch.float32).masked_fill(best < 0, 0)
        is_better = overlap > greatest
        rows = torch.where(is_better, rows_of(best, keys) + first, rows)
        greatest = torch.where(is_better, overlap, greatest)
        first += len(chunk_rows)
    return rows


def _inside(priors: Float[Tensor, "P 4"], boxes: Float[Tensor, "K 4"]) -> Bool[Tensor, "K P"]:
    """Return whether the centre of each prior lies in each box."""
    centres = priors[:, :2]
    return ((centres > boxes[:, None, :2]) & (centres < boxes[:, None, 2:])).all(dim=2)


def _overlaps(
    objects: Float[Tensor, "N P 4"], boxes: Float[Tensor, "*N P 4"]
) -> Float[Tensor, "N P"]:
    """Return the IoU of each prior's object with the prior's own box."""
    return box_ops.iou(objects[..., None, :], boxes.expand_as(objects)[..., None, :])[..., 0, 0]


def _scale(
    alignment: Float[Tensor, "N P"],
    overlaps: Float[Tensor, "N P"],
    index: Int64[Tensor, "N P"],
    num_objects: int,
) -> Float[Tensor, "N P"]:
    """Scale alignments so that each object's maximum is the highest IoU of its priors' boxes."""
    flat = index.flatten()
    highest_alignment, highest_overlap = (
        values.new_zeros(num_objects).scatter_reduce_(0, flat, values.flatten(), "amax")[index]
        for values in (alignment, overlaps)
    )
    return alignment / highest_alignment.clamp(min=MIN_ALIGNMENT) * highest_overlap


def quality_losses(
    logits: Float[Tensor, "N P C"],
    classes: Int64[Tensor, "N P"],
    quality: Float[Tensor, "N P"],
    *,
    is_focal: bool,
) -> Float[Tensor, "N P C"]:
    """Compute the binary cross-entropy of each class of each prior.

    The target is the quality for the prior's class, 0 for other classes. With ``is_focal`` the
    losses are multiplied by the squared difference of score and target: the quality focal loss of
    GFL (arXiv 2006.04388, equation 2).
    """
    is_class = classes[..., None] == torch.arange(logits.shape[2], device=logits.device)
    expected = is_class * quality[..., None]
    losses = functional.binary_cross_entropy_with_logits(logits, expected, reduction="none")
    return losses * (expected - logits.sigmoid()) ** 2 if is_focal else losses


def giou_losses(
    offsets: Float[Tensor, "N P 4"], expected: Float[Tensor, "N P 4"], priors: Float[Tensor, "P 4"]
) -> Float[Tensor, "N P"]:
    """Compute `GIOU_WEIGHT` times (1 - generalised IoU) of boxes (arXiv 1902.09630, algorithm 2).

    torchvision's `generalized_box_iou_loss` indexes the overlapping pairs, which makes the host
    wait for the GPU.
    """
    boxes, others = (
        box_ops.to_corners(box_ops.decode(values, priors)) for values in (offsets, expected)
    )
    lower, upper = torch.minimum(boxes, others), torch.maximum(boxes, others)
    overlap = box_ops.area(torch.cat([upper[..., :2], lower[..., 2:]], dim=-1))
    union = box_ops.area(boxes) + box_ops.area(others) - overlap
    hull = box_ops.area(torch.cat([lower[..., :2], upper[..., 2:]], dim=-1))
    return GIOU_WEIGHT * (1 - overlap / union + (hull - union) / hull)
