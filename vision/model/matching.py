"""Matching: the assignment of objects to priors."""

# N batch, P priors, M objects of all images

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

import vision.boxes as box_ops
from vision.model.matching_cpu import match_on_cpu
from vision.structures import PackedTargets

MAX_PAIRS = 1 << 24
"""Maximum number of (object, prior) pairs matched on a GPU. More are matched on the CPU, which
needs less memory for each pair but has to wait for the GPU; in task-aligned assignment, only
`give_free` does so."""
CHUNK_PAIRS = 1 << 22
"""Number of (object, prior) pairs for which `find_ignored` and `align` compute overlaps at once."""
NEVER = 2.0
"""An IoU that no prior reaches: with it, `match_on_cpu` only gives each object its own prior."""


class Matches(NamedTuple):
    """The assignment of objects to priors.

    Attributes:
        objects: Row of a positive prior's object in the packed targets; -1 for other priors.
        ignored: Priors that are neither positive nor negative.
        quality: How well a positive prior suits its object, from 0 to 1, which weights its loss; 0
            for other priors.
    """

    objects: Int64[Tensor, "N P"]
    ignored: Bool[Tensor, "N P"]
    quality: Float[Tensor, "N P"]


def match(targets: PackedTargets, priors: Float[Tensor, "P 4"], match_iou: float = 0.5) -> Matches:
    """Assign objects to priors by IoU (SSD, arXiv 1512.02325, section 2.2 "Matching strategy").

    A prior is assigned the object that it overlaps most if their IoU is at least ``match_iou``. In
    addition, each object gets one prior of its own: its best. If several objects have the same best
    prior, the pair with the highest IoU gets it, and the others take their next best. A prior that
    is not positive is ignored if its IoU with a difficult object is at least ``match_iou``, or if
    at least that fraction of its own area lies in a crowd region.

    The objects of all images are matched at once, without padding to equal numbers of objects per
    image: on the CPU in O(n log n) for n overlapping pairs (`vision.model.matching_cpu`), on other
    devices by a few operations that do not synchronise with the host.

    Args:
        targets: The objects of the images.
        priors: Relative to the image, in centre form.
        match_iou: Lowest IoU at which a prior matches an object.
    """
    if priors.device.type == "cpu":
        objects = match_on_cpu(targets, priors, match_iou)
    elif len(targets.rows) * len(priors) > MAX_PAIRS:
        objects = match_on_cpu(targets.to("cpu"), priors.cpu(), match_iou).to(priors.device)
    else:
        objects = match_on_gpu(targets, priors, match_iou)
    ignored = torch.zeros_like(objects, dtype=torch.bool)
    if targets.has_ignored:
        ignored = (objects < 0) & find_ignored(targets, box_ops.to_corners(priors), match_iou)
    return Matches(objects, ignored, (objects >= 0).to(priors.dtype))


def match_on_gpu(
    targets: PackedTargets, priors: Float[Tensor, "P 4"], match_iou: float
) -> Int64[Tensor, "N P"]:
    """Return the row of each prior's object, -1 for none, without synchronising with the host."""
    overlaps = box_ops.iou(targets.boxes, box_ops.to_corners(priors)).float()
    keys = sort_keys(overlaps, targets.positive)
    best = max_per_image(keys, targets)
    is_match = (best // keys.numel()).int().view(torch.float32) >= match_iou
    forced = force_best(keys, targets)
    best = torch.where(forced >= 0, forced, best.masked_fill(~is_match, -1))
    return rows_of(best, keys)


def sort_keys(overlaps: Float[Tensor, "M P"], positive: Bool[Tensor, "M"]) -> Int64[Tensor, "M P"]:
    """Encode pairs as distinct integers that sort by overlap; -1 if a pair cannot be matched.

    The upper part of a key is the overlap: the bits of a float that is not negative, read as an
    integer, increase with it. The lower part resolves ties in the order of the objects, then of the
    priors, because `torch.max` and `torch.topk` may choose differently on different devices.
    """
    bits = overlaps.contiguous().view(torch.int32).long()
    order = torch.arange(overlaps.numel() - 1, -1, -1, device=overlaps.device)
    keys = bits * overlaps.numel() + order.view(overlaps.shape)
    return keys.masked_fill(~(positive[:, None] & (overlaps > 0)), -1)


def rows_of(best: Int64[Tensor, "N P"], keys: Int64[Tensor, "M P"]) -> Int64[Tensor, "N P"]:
    """Decode each prior's object from its best key; -1 for none."""
    # The lower part of a key counts backwards through objects and priors.
    rows = (keys.numel() - 1 - best % keys.numel()) // keys.shape[1]
    return rows.masked_fill(best < 0, -1)


def max_per_image(values: Int64[Tensor, "M P"], targets: PackedTargets) -> Int64[Tensor, "N P"]:
    """Return each prior's maximum over the objects of each image; -1 for an image without any."""
    maxima = values.new_full((max(1, targets.num_images), values.shape[1]), -1)
    rows = targets.images[:, None].expand_as(values)
    return maxima.scatter_reduce_(0, rows, values, "amax")[: targets.num_images]


def force_best(keys: Int64[Tensor, "M P"], targets: PackedTargets) -> Int64[Tensor, "N P"]:
    """Return the key of the pair in which each prior is an object's own; -1 for other priors.

    In each round every object bids its key for its best prior that no higher key has bid for; a bid
    stands until a higher one replaces it. After k rounds the k greatest matched pairs of each image
    are final, so the number of rounds need not exceed the number of objects in an image. Nor does
    an object need more of its best priors than that, since each other object takes only one.
    """
    num_priors = keys.shape[1]
    num_rounds = min(targets.max_objects, num_priors)
    values, priors = keys.topk(num_rounds, dim=1)
    slots = targets.images[:, None] * num_priors + priors
    held = keys.new_full((max(1, targets.num_images) * num_priors,), -1)
    for _ in range(num_rounds):
        bids, picks = values.masked_fill(values < held[slots], -1).max(dim=1)
        bid_slots = slots.gather(1, picks[:, None])[:, 0]
        held.scatter_reduce_(0, bid_slots, bids, "amax")
    return held.view(-1, num_priors)[: targets.num_images]


def give_free(
    targets: PackedTargets, priors: Float[Tensor, "P 4"], rows: Int64[Tensor, "N P"]
) -> Int64[Tensor, "N P"]:
    """Give each object without a prior the free one that overlaps it most, as `match` does.

    ``rows`` holds the row of each prior's object, -1 for a free prior. The result holds the same
    for the priors given here, -1 for all others.
    """
    counts = rows.new_zeros(len(targets.rows) + 1).index_fill_(0, rows.flatten() + 1, 1)
    is_left = targets.positive & (counts[1:] == 0)
    is_large = len(targets.rows) * len(priors) > MAX_PAIRS
    if priors.device.type == "cpu" or is_large:
        forced = _free_on_cpu(targets.to("cpu"), priors.cpu(), rows.cpu(), is_left.cpu())
        return forced.to(priors.device)
    return _free_on_gpu(targets, priors, rows, is_left)


def _free_on_gpu(
    targets: PackedTargets,
    priors: Float[Tensor, "P 4"],
    rows: Int64[Tensor, "N P"],
    is_left: Bool[Tensor, "M"],
) -> Int64[Tensor, "N P"]:
    """`give_free` without synchronising with the host."""
    keys = sort_keys(box_ops.iou(targets.boxes, box_ops.to_corners(priors)), is_left)
    forced = force_best(keys.masked_fill((rows >= 0)[targets.images], -1), targets)
    return rows_of(forced, keys)


def _free_on_cpu(
    targets: PackedTargets,
    priors: Float[Tensor, "P 4"],
    rows: Int64[Tensor, "N P"],
    is_left: Bool[Tensor, "M"],
) -> Int64[Tensor, "N P"]:
    """`give_free` on the CPU, image by image, for the objects that are left."""
    result = torch.full_like(rows, -1)
    for image in set(targets.images[is_left].tolist()):
        left = (is_left & (targets.images == image)).nonzero()[:, 0]
        free = (rows[image] < 0).nonzero()[:, 0]
        rows_left = targets.rows[left]
        rows_left[:, 7] = 0  # The index of the image, which is now the only one.
        alone = targets._replace(rows=rows_left, num_images=1)
        matched = match_on_cpu(alone, priors[free], NEVER)[0]
        is_matched = matched >= 0
        result[image, free[is_matched]] = left[matched[is_matched]]
    return result


def find_ignored(
    targets: PackedTargets, corners: Float[Tensor, "*N P 4"], match_iou: float
) -> Bool[Tensor, "N P"]:
    """Return which boxes lie on difficult objects or inside crowd regions.

    ``corners`` are boxes that all images share, such as priors, or boxes for each image.
    """
    rows, num_boxes = targets.rows, corners.shape[-2]
    if rows.device.type == "cpu":
        rows = rows[targets.difficult | targets.crowd]
    result = torch.zeros(targets.num_images, num_boxes, device=corners.device).bool()
    for chunk_rows in torch.split(rows, max(1, CHUNK_PAIRS // num_boxes)):
        chunk = targets._replace(rows=chunk_rows)
        boxes = corners if corners.ndim == 2 else corners[chunk.images]
        objects = chunk.boxes if corners.ndim == 2 else chunk.boxes[:, None]
        shape, areas = (len(chunk_rows), num_boxes), match_iou * box_ops.area(boxes)
        near = box_ops.iou(objects, boxes).view(shape) >= match_iou
        inside = box_ops.intersection(objects, boxes).view(shape) >= areas
        is_ignored = (near & chunk.difficult[:, None]) | (inside & chunk.crowd[:, None])
        result |= max_per_image(is_ignored.long(), chunk) > 0
    return result
