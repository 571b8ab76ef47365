"""Task-aligned assignment: which prior learns which object, by what is predicted; its losses."""

# N batch, P priors, C classes, M objects of all images, K of some of them

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
"""Exponent of the overlap, that of the score being 1 (TOOD, section 4.1)."""
NUM_CANDIDATES = 13
"""Priors that an object can get."""
GIOU_WEIGHT = 2.0
"""Weight of the boxes' loss relative to the classes' (TOOD's code, NanoDet-Plus)."""
MIN_ALIGNMENT = 1e-30
"""Lower bound of the divisor of an object's alignments."""


def align(
    targets: PackedTargets,
    priors: Float[Tensor, "P 4"],
    predictions: Predictions,
    match_iou: float = 0.5,
) -> Matches:
    """Assign objects to priors by task alignment (TOOD, arXiv 2108.07755, section 3.2).

    The alignment of a prior with an object is the predicted score of the object's class times the
    sixth power of the predicted box's IoU with it (equation 6). An object gets the 13 priors of the
    highest alignment among those whose centres lie in its box. A prior that several objects would
    get goes to the one that its box overlaps most. An object that is left without a prior gets the
    free one that overlaps it most, as in `vision.model.matching.match`. The quality of a prior is
    its alignment, scaled so that the highest of each object equals the highest IoU of its boxes
    (section 3.3); that of a prior which is an object's only one for lack of candidates is at least
    its own IoU with the object, so that it teaches something. A prior that is not positive is
    ignored if its predicted box overlaps a difficult object by ``match_iou``, or if that fraction
    of the box lies in a crowd.

    All images are matched at once by few operations, none of which waits for a GPU; in batches of
    very many objects a part of them at a time, and those without a prior on the CPU.

    Args:
        targets: What the images show.
        priors: Relative, in centre form.
        predictions: Of these images, whose scores are sigmoids.
        match_iou: IoU with a difficult object from which a prior is ignored.
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
    """The row of the object that each prior learns by what is predicted, -1 for none."""
    greatest = boxes.new_zeros(boxes.shape[:2])
    rows = torch.full(greatest.shape, -1, device=boxes.device)
    first = 0
    for chunk in torch.split(targets.rows, max(1, CHUNK_PAIRS // len(priors))):
        some = targets._replace(rows=chunk)
        overlaps = box_ops.iou(some.boxes[:, None], boxes[some.images])[:, 0]
        logits = predictions.logits[some.images, :, some.labels].float()
        alignment = logits.sigmoid() * overlaps**BETA
        candidates = alignment.masked_fill(~_inside(priors, some.boxes), 0)
        values, places = candidates.topk(min(NUM_CANDIDATES, len(priors)), dim=1)
        chosen = overlaps.gather(1, places).masked_fill(values <= 0, 0)
        keys = sort_keys(torch.zeros_like(overlaps).scatter(1, places, chosen), some.positive)
        best = max_per_image(keys, some)
        # The upper part of a key is the overlap.
        overlap = (best // keys.numel()).int().view(torch.float32).masked_fill(best < 0, 0)
        is_better = overlap > greatest
        rows = torch.where(is_better, rows_of(best, keys) + first, rows)
        greatest = torch.where(is_better, overlap, greatest)
        first += len(chunk)
    return rows


def _inside(priors: Float[Tensor, "P 4"], boxes: Float[Tensor, "K 4"]) -> Bool[Tensor, "K P"]:
    """Whether the centre of each prior lies in each box."""
    centres = priors[:, :2]
    return ((centres > boxes[:, None, :2]) & (centres < boxes[:, None, 2:])).all(dim=2)


def _overlaps(
    objects: Float[Tensor, "N P 4"], boxes: Float[Tensor, "*N P 4"]
) -> Float[Tensor, "N P"]:
    """The IoU of each prior's object with its own box."""
    return box_ops.iou(objects[..., None, :], boxes.expand_as(objects)[..., None, :])[..., 0, 0]


def _scale(
    alignment: Float[Tensor, "N P"],
    overlaps: Float[Tensor, "N P"],
    index: Int64[Tensor, "N P"],
    num_objects: int,
) -> Float[Tensor, "N P"]:
    """Alignments, the highest of each object scaled to the highest IoU of its priors' boxes."""
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
    """Binary cross-entropies of each class of each prior, with the quality as the class's target.

    With ``is_focal`` they are multiplied by the squared difference of score and target: the quality
    focal loss of GFL (arXiv 2006.04388, equation 5).
    """
    is_class = classes[..., None] == torch.arange(logits.shape[2], device=logits.device)
    expected = is_class * quality[..., None]
    losses = functional.binary_cross_entropy_with_logits(logits, expected, reduction="none")
    return losses * (expected - logits.sigmoid()) ** 2 if is_focal else losses


def giou_losses(
    offsets: Float[Tensor, "N P 4"], expected: Float[Tensor, "N P 4"], priors: Float[Tensor, "P 4"]
) -> Float[Tensor, "N P"]:
    """One minus the generalised IoU of boxes (arXiv 1902.09630, algorithm 1), times its weight.

    torchvision's `generalized_box_iou_loss` picks out the pairs that overlap, for whose number a
    GPU would have to wait.
    """
    boxes, others = (
        box_ops.to_corners(box_ops.decode(values, priors)) for values in (offsets, expected)
    )
    lower, upper = torch.minimum(boxes, others), torch.maximum(boxes, others)
    overlap = box_ops.area(torch.cat([upper[..., :2], lower[..., 2:]], dim=-1))
    union = box_ops.area(boxes) + box_ops.area(others) - overlap
    hull = box_ops.area(torch.cat([lower[..., :2], upper[..., 2:]], dim=-1))
    return GIOU_WEIGHT * (1 - overlap / union + (hull - union) / hull)
