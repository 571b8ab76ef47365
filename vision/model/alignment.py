"""Task-aligned assignment: which prior learns which object, by what is predicted; its losses."""

# N batch, P priors, C classes, M objects of all images

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

import vision.boxes as box_ops
from vision.model.matching import (
    Matches,
    find_ignored,
    force_best,
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

    All images are matched at once by few operations, none of which waits for the device.

    Args:
        targets: What the images show.
        priors: Relative, in centre form.
        predictions: Of these images, whose scores are sigmoids.
        match_iou: IoU with a difficult object from which a prior is ignored.
    """
    boxes = box_ops.to_corners(box_ops.decode(predictions.offsets.float(), priors))
    logits = predictions.logits[targets.images, :, targets.labels].float()
    overlaps = box_ops.iou(targets.boxes[:, None], boxes[targets.images])[:, 0]
    alignment = logits.sigmoid() * overlaps**BETA
    rows, least = _choose(targets, priors, alignment, overlaps)
    positive = rows >= 0
    ignored = torch.zeros_like(positive)
    if targets.has_ignored:
        ignored = ~positive & find_ignored(targets, boxes, match_iou)
    return Matches(rows, ignored, _quality(rows, alignment, overlaps).maximum(least))


def _choose(
    targets: PackedTargets,
    priors: Float[Tensor, "P 4"],
    alignment: Float[Tensor, "M P"],
    overlaps: Float[Tensor, "M P"],
) -> tuple[Int64[Tensor, "N P"], Float[Tensor, "N P"]]:
    """The row of the object that each prior learns, -1 for none, and the least quality of each."""
    candidates = alignment.masked_fill(~_inside(priors, targets.boxes), 0)
    values, places = candidates.topk(min(NUM_CANDIDATES, len(priors)), dim=1)
    chosen = overlaps.gather(1, places).masked_fill(values <= 0, 0)
    keys = sort_keys(torch.zeros_like(overlaps).scatter(1, places, chosen), targets.positive)
    rows = rows_of(max_per_image(keys, targets), keys)
    counts = rows.new_zeros(len(keys) + 1).index_fill_(0, rows.flatten() + 1, 1)
    is_left = targets.positive & (counts[1:] == 0)
    keys = sort_keys(box_ops.iou(targets.boxes, box_ops.to_corners(priors)), is_left)
    forced = force_best(keys.masked_fill((rows >= 0)[targets.images], -1), targets)
    # The upper part of a key is the overlap.
    least = (forced // keys.numel()).int().view(torch.float32).masked_fill(forced < 0, 0)
    return torch.where(forced >= 0, rows_of(forced, keys), rows), least


def _inside(priors: Float[Tensor, "P 4"], boxes: Float[Tensor, "M 4"]) -> Bool[Tensor, "M P"]:
    """Whether the centre of each prior lies in each box."""
    centres = priors[:, :2]
    return ((centres > boxes[:, None, :2]) & (centres < boxes[:, None, 2:])).all(dim=2)


def _quality(
    rows: Int64[Tensor, "N P"], alignment: Float[Tensor, "M P"], overlaps: Float[Tensor, "M P"]
) -> Float[Tensor, "N P"]:
    """The alignment of each positive prior, scaled; 0 for the others."""
    positive, index = rows >= 0, rows.clamp(min=0)
    columns = torch.arange(rows.shape[1], device=rows.device)
    own, overlap = (
        values[index, columns].masked_fill(~positive, 0) for values in (alignment, overlaps)
    )
    highest_own, highest_overlap = (
        values.new_zeros(len(alignment)).scatter_reduce_(
            0, index.flatten(), values.flatten(), "amax"
        )[index]
        for values in (own, overlap)
    )
    return own / highest_own.clamp(min=MIN_ALIGNMENT) * highest_overlap


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
