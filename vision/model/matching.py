"""Which prior learns which object."""

# N batch, P priors, M objects (padded to the batch's maximum), T the M best priors of an object

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

import vision.boxes as box_ops
from vision.structures import Target


class PaddedTargets(NamedTuple):
    """A batch's targets as rectangular tensors; rows past an image's objects are all False.

    Attributes:
        boxes: ``xyxy`` relative to the image.
        labels: 0 in padding.
        positive: Objects to be found.
        difficult: Objects whose overlapping priors are ignored.
        crowd: Regions inside which priors are ignored.
    """

    boxes: Float[Tensor, "N M 4"]
    labels: Int64[Tensor, "N M"]
    positive: Bool[Tensor, "N M"]
    difficult: Bool[Tensor, "N M"]
    crowd: Bool[Tensor, "N M"]


class Matches(NamedTuple):
    """What each prior learns.

    Attributes:
        objects: Index of the object of a positive prior, -1 for the others.
        ignored: Priors that are neither positive nor negative.
    """

    objects: Int64[Tensor, "N P"]
    ignored: Bool[Tensor, "N P"]


def pad_targets(targets: Sequence[Target], device: torch.device | str = "cpu") -> PaddedTargets:
    """Targets side by side on ``device``; boxes without area do not count as objects."""
    maximum = max([1, *(len(target) for target in targets)])
    boxes = torch.zeros(len(targets), maximum, 4)
    labels = torch.zeros(len(targets), maximum, dtype=torch.int64)
    flags = torch.zeros(3, len(targets), maximum, dtype=torch.bool)
    for row, target in enumerate(targets):
        count = len(target)
        boxes[row, :count] = box_ops.scale(target.boxes, target.size, (1, 1))
        labels[row, :count] = target.labels
        flags[0, row, :count] = ~target.ignore & (box_ops.area(target.boxes) > 0)
        flags[1, row, :count] = target.ignore & ~target.crowd
        flags[2, row, :count] = target.crowd
    # CUDA copies pageable memory to a buffer before it returns, so that the source may be freed;
    # other devices may still read from the source after that.
    on_cuda = torch.device(device).type == "cuda"
    parts = (boxes, labels, *flags)
    return PaddedTargets(*(part.to(device, non_blocking=on_cuda) for part in parts))


def match(targets: PaddedTargets, priors: Float[Tensor, "P 4"], match_iou: float = 0.5) -> Matches:
    """Assign objects to priors.

    A prior is positive for the object it overlaps most, from ``match_iou`` on. Besides, each
    object gets one prior of its own, its best. Where several objects have the same best prior, the
    pair of the highest IoU gets it, and the others take their next best (SSD, arXiv 1512.02325,
    section 2.2 "Matching strategy"). A prior that is not positive is ignored if it overlaps a
    difficult object by ``match_iou``, or if that fraction of its own area lies in a crowd.

    Args:
        targets: What the images show.
        priors: Relative, in centre form.
        match_iou: IoU from which a prior counts as matched.
    """
    corners = box_ops.to_corners(priors)
    overlaps = box_ops.iou(targets.boxes, corners.expand(len(targets.boxes), -1, 4))
    # Objects that are not to be found, and padding, overlap nothing.
    candidates = overlaps.masked_fill(~targets.positive[..., None], -1.0)
    best_overlap, best_object = candidates.max(dim=1)
    objects = best_object.masked_fill(best_overlap < match_iou, -1)
    objects = _force_best(objects, candidates)
    return Matches(objects, (objects < 0) & _ignored(targets, overlaps, corners, match_iou))


def _force_best(
    objects: Int64[Tensor, "N P"], overlaps: Float[Tensor, "N M P"]
) -> Int64[Tensor, "N P"]:
    """Give each object one prior of its own, the greatest IoU first.

    An object needs at most its M best priors, since the others can take no more than M - 1 of
    them; so the search runs over (M, M) candidates, for all images at once.
    """
    num_images, num_objects, num_priors = overlaps.shape
    priors = _best_priors(overlaps, min(num_objects, num_priors))
    scores = overlaps.gather(2, priors)
    scores = scores.masked_fill(scores <= 0, -1.0)
    # Each round settles the best pair of every image. Images whose objects are all settled have no
    # score of 0 or more left: their rounds write into a column behind the priors, cut off below.
    forced = torch.cat([objects, objects.new_zeros(num_images, 1)], dim=1)
    for _ in range(num_objects):
        best, flat = scores.flatten(1).max(dim=1)
        winner = flat // scores.shape[2]
        prior = priors.flatten(1).gather(1, flat[:, None])
        column = prior.masked_fill(best[:, None] < 0, num_priors)
        forced.scatter_(1, column, winner[:, None])
        # The prior is no candidate of any other object, and the object needs no other prior.
        taken = priors == prior[..., None]
        taken |= torch.arange(num_objects, device=scores.device)[:, None] == winner[:, None, None]
        scores = scores.masked_fill(taken, -1.0)
    return forced[:, :num_priors]


def _best_priors(overlaps: Float[Tensor, "N M P"], count: int) -> Int64[Tensor, "N M T"]:
    """Each object's ``count`` best priors, best first, equal ones in the order of their indices.

    `torch.topk` alone leaves the order of equal values open. So it gets whole numbers, all of them
    different: the bits of the IoU, which as an integer rise with it from 0 on, in the upper half
    and a number that falls with the prior's index in the lower half.
    """
    num_priors = overlaps.shape[2]
    bits = overlaps.float().clamp(min=0).contiguous().view(torch.int32).long()
    tie_breaker = torch.arange(num_priors - 1, -1, -1, device=overlaps.device)
    return torch.topk((bits << 32) + tie_breaker, count, dim=2).indices


def _ignored(
    targets: PaddedTargets,
    overlaps: Float[Tensor, "N M P"],
    corners: Float[Tensor, "P 4"],
    match_iou: float,
) -> Bool[Tensor, "N P"]:
    """Priors on difficult objects, or inside crowds."""
    on_difficult = (overlaps >= match_iou) & targets.difficult[..., None]
    shared = box_ops.intersection(targets.boxes, corners.expand(len(targets.boxes), -1, 4))
    inside = (shared >= match_iou * box_ops.area(corners)) & targets.crowd[..., None]
    return (on_difficult | inside).any(dim=1)
