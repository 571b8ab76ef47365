"""Which prior learns which object."""

# N batch, P priors, M objects of all images, T the best priors of an object

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

import vision.boxes as box_ops
from vision.model.matching_cpu import match_on_cpu
from vision.structures import PackedTargets

MAX_PAIRS = 1 << 24
"""Objects times priors that are matched on a GPU; more are matched on the CPU, which needs less
memory for each, and waits. Of task-aligned assignment that is the part of `give_free`."""
CHUNK_PAIRS = 1 << 22
"""Pairs of object and prior whose overlaps are computed at once, by `find_ignored` and `align`."""
NEVER = 2.0
"""An IoU that no prior reaches, so that `match_on_cpu` gives each object one prior alone."""


class Matches(NamedTuple):
    """What each prior learns.

    Attributes:
        objects: Row of the packed targets of a positive prior's object, -1 for the others.
        ignored: Priors that are neither positive nor negative.
        quality: How well a positive prior suits its object, from 0 to 1: the weight of its loss; 0
            for the others.
    """

    objects: Int64[Tensor, "N P"]
    ignored: Bool[Tensor, "N P"]
    quality: Float[Tensor, "N P"]


def match(targets: PackedTargets, priors: Float[Tensor, "P 4"], match_iou: float = 0.5) -> Matches:
    """Assign objects to priors.

    A prior is positive for the object it overlaps most, from ``match_iou`` on. Besides, each
    object gets one prior of its own, its best. Where several objects have the same best prior, the
    pair of the highest IoU gets it, and the others take their next best (SSD, arXiv 1512.02325,
    section 2.2 "Matching strategy"). A prior that is not positive is ignored if it overlaps a
    difficult object by ``match_iou``, or if that fraction of its own area lies in a crowd.

    All images are matched at once, by their objects alone, so that neither the size of the batch
    nor one crowded image among others adds work: on the CPU n log n for n pairs that overlap
    (`vision.model.matching_cpu`), on other devices few operations, none of which waits.

    Args:
        targets: What the images show.
        priors: Relative, in centre form.
        match_iou: IoU from which a prior counts as matched.
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
    """The row of the object that each prior learns, -1 for none, without waiting for the device."""
    overlaps = box_ops.iou(targets.boxes, box_ops.to_corners(priors)).float()
    keys = sort_keys(overlaps, targets.positive)
    best = max_per_image(keys, targets)
    is_match = (best // keys.numel()).int().view(torch.float32) >= match_iou
    forced = force_best(keys, targets)
    best = torch.where(forced >= 0, forced, best.masked_fill(~is_match, -1))
    return rows_of(best, keys)


def sort_keys(overlaps: Float[Tensor, "M P"], positive: Bool[Tensor, "M"]) -> Int64[Tensor, "M P"]:
    """Numbers in the order of the overlaps, all different; -1 where there is nothing to find.

    The bits of a float, as an integer, rise with it from 0 on. They are the upper part of a key.
    The lower part puts equal overlaps in the order of their objects, then of their priors: which
    one `torch.max` or `torch.topk` would take is left open, and may depend on the device.
    """
    bits = overlaps.contiguous().view(torch.int32).long()
    order = torch.arange(overlaps.numel() - 1, -1, -1, device=overlaps.device)
    keys = bits * overlaps.numel() + order.view(overlaps.shape)
    return keys.masked_fill(~(positive[:, None] & (overlaps > 0)), -1)


def rows_of(best: Int64[Tensor, "N P"], keys: Int64[Tensor, "M P"]) -> Int64[Tensor, "N P"]:
    """The object of each of some keys, or -1."""
    # The lower part of a key counts backwards through objects and priors.
    rows = (keys.numel() - 1 - best % keys.numel()) // keys.shape[1]
    return rows.masked_fill(best < 0, -1)


def max_per_image(values: Int64[Tensor, "M P"], targets: PackedTargets) -> Int64[Tensor, "N P"]:
    """The maximum of each prior over the objects of each image, -1 where there is none."""
    maxima = values.new_full((max(1, targets.num_images), values.shape[1]), -1)
    rows = targets.images[:, None].expand_as(values)
    return maxima.scatter_reduce_(0, rows, values, "amax")[: targets.num_images]


def force_best(keys: Int64[Tensor, "M P"], targets: PackedTargets) -> Int64[Tensor, "N P"]:
    """The key of the object that gets each prior as its own, -1 for the other priors.

    In each round every object bids for the best prior that no greater IoU has bid for, and a bid
    stands until a greater one is made. After k rounds the k greatest pairs of each image stand, so
    that as many rounds as an image has objects are enough. An object needs at most that many of
    its best priors, since the others can take no more.
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
    """The row of the object without a prior that gets each free prior, -1 for none."""
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
    """`give_free` by few operations, none of which waits."""
    keys = sort_keys(box_ops.iou(targets.boxes, box_ops.to_corners(priors)), is_left)
    forced = force_best(keys.masked_fill((rows >= 0)[targets.images], -1), targets)
    return rows_of(forced, keys)


def _free_on_cpu(
    targets: PackedTargets,
    priors: Float[Tensor, "P 4"],
    rows: Int64[Tensor, "N P"],
    is_left: Bool[Tensor, "M"],
) -> Int64[Tensor, "N P"]:
    """`give_free` with work for those objects alone that are left."""
    result = torch.full_like(rows, -1)
    for image in set(targets.images[is_left].tolist()):
        left = (is_left & (targets.images == image)).nonzero()[:, 0]
        free = (rows[image] < 0).nonzero()[:, 0]
        rows_left = targets.rows[left]
        rows_left[:, 7] = 0  # The index of the image, now the only one.
        some = targets._replace(rows=rows_left, num_images=1)
        found = match_on_cpu(some, priors[free], NEVER)[0]
        is_found = found >= 0
        result[image, free[is_found]] = left[found[is_found]]
    return result


def find_ignored(
    targets: PackedTargets, corners: Float[Tensor, "*N P 4"], match_iou: float
) -> Bool[Tensor, "N P"]:
    """Which boxes, of priors or of each image's own, lie on difficult objects or inside crowds."""
    rows, num_boxes = targets.rows, corners.shape[-2]
    if rows.device.type == "cpu":
        rows = rows[targets.difficult | targets.crowd]
    result = torch.zeros(targets.num_images, num_boxes, device=corners.device).bool()
    for chunk in torch.split(rows, max(1, CHUNK_PAIRS // num_boxes)):
        some = targets._replace(rows=chunk)
        boxes = corners if corners.ndim == 2 else corners[some.images]
        objects = some.boxes if corners.ndim == 2 else some.boxes[:, None]
        shape, areas = (len(chunk), num_boxes), match_iou * box_ops.area(boxes)
        near = box_ops.iou(objects, boxes).view(shape) >= match_iou
        inside = box_ops.intersection(objects, boxes).view(shape) >= areas
        is_ignored = (near & some.difficult[:, None]) | (inside & some.crowd[:, None])
        result |= max_per_image(is_ignored.long(), some) > 0
    return result
