"""Matching on the CPU: greedily, from the (object, prior) pairs sorted by overlap."""

# N images, M objects of the batch, K objects of a part of it, P priors, E overlapping pairs

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from numpy import ndarray
from torch import Tensor

import vision.boxes as box_ops
from vision.structures import PackedTargets

CHUNK = 32
"""Number of objects whose overlaps with all priors are computed at once, to fit the cache."""
MAX_OBJECTS = 2048
"""Maximum number of objects matched at once, besides those that have a prior of their own."""
MIN_PAIRS, SHARE, STRIDE = 1 << 16, 12, 101
"""Above MIN_PAIRS, if many overlap, the best 1/SHARE is sorted at once; 1/STRIDE is sampled."""
FIRST_BLOCK, MAX_BLOCK = 32, 4096
"""Fewest and most pairs visited between two removals of pairs that are no longer free."""


def match_on_cpu(
    targets: PackedTargets, priors: Float[Tensor, "P 4"], match_iou: float
) -> Int64[Tensor, "N P"]:
    """Return the row of the object assigned to each prior, -1 for none, by the rules of `match`.

    Many objects are matched in parts. An object that gets no prior of its own would get none among
    more objects of its image either, so only the others are matched again with the next part.
    """
    rows = targets.positive.nonzero()[:, 0]
    boxes, images = targets.boxes[rows], targets.images[rows].numpy()
    corners = box_ops.to_corners(priors)
    corners = corners.T.contiguous().T  # Faster to read with each coordinate contiguous.
    layout = _Layout(len(rows), len(priors))
    learnt = np.full((targets.num_images, len(priors)), -1)
    below = max(0, np.nextafter(np.float32(match_iou), np.float32(0)))
    greatest = np.full(learnt.shape, below, dtype=np.float32)
    forced = np.full_like(learnt, -1)
    for part in _parts(images):
        held = forced[images[part[0]]]
        objects = np.concatenate([np.sort(layout.objects(held[held >= 0])), part])
        overlaps = _overlaps(boxes[torch.from_numpy(objects)], corners)
        if len(objects) > len(part):
            # Pairs below the overlap of the object that now has the prior cannot win it.
            same = overlaps[: (images[objects] == images[part[0]]).sum()]
            same[same < layout.overlaps(held)] = 0
        _keep_greatest(overlaps, objects, images, greatest, learnt)
        held[:] = -1
        _force_best(overlaps, objects, images, layout, forced)
    objects = np.where(forced >= 0, layout.objects(forced), learnt)
    return torch.cat([rows, rows.new_tensor([-1])])[torch.from_numpy(objects)]


def _parts(images: Int64[ndarray, "M"]) -> Iterator[Int64[ndarray, "K"]]:
    """Yield the indices of up to `MAX_OBJECTS` objects; only an image with more is split."""
    start = 0
    while start < len(images):
        end = min(start + MAX_OBJECTS, len(images))
        if end < len(images):
            border = int(np.searchsorted(images, images[end]))
            end = border if border > start else end
        yield np.arange(start, end)
        start = end


class _Layout(NamedTuple):
    """The encoding of (object, prior) pairs as integer keys that sort by overlap.

    The upper bits are those of the overlap: the bits of a float that is not negative, read as an
    integer, increase with it. The lower bits count down through the objects, then the priors, so
    that ties go to the first object, then to the first prior.
    """

    num_objects: int
    num_priors: int

    @property
    def bits(self) -> tuple[int, int]:
        """Number of bits for the prior, and for object and prior together."""
        low = self.num_priors.bit_length()
        return low, low + self.num_objects.bit_length()

    def keys(
        self,
        overlaps: Float32[ndarray, "E"],
        objects: Int64[ndarray, "E"],
        priors: Int64[ndarray, "E"],
    ) -> Int64[ndarray, "E"]:
        """Encode pairs as keys."""
        keys: Int64[ndarray, "E"] = overlaps.view(np.int32).astype(np.int64) << self.bits[1]
        keys |= (self.num_objects - objects) << self.bits[0] | (self.num_priors - priors)
        return keys

    def overlaps(self, keys: Int64[ndarray, "*E"]) -> Float32[ndarray, "*E"]:
        """Decode the overlaps."""
        upper: Int64[ndarray, "*E"] = keys >> self.bits[1]
        return upper.astype(np.int32).view(np.float32)

    def objects(self, keys: Int64[ndarray, "*E"]) -> Int64[ndarray, "*E"]:
        """Decode the indices of the objects."""
        mask = (1 << self.num_objects.bit_length()) - 1
        return self.num_objects - (keys >> self.bits[0] & mask)

    def priors(self, keys: Int64[ndarray, "*E"]) -> Int64[ndarray, "*E"]:
        """Decode the indices of the priors."""
        return self.num_priors - (keys & (1 << self.bits[0]) - 1)

    def slots(self, keys: Int64[ndarray, "E"], images: Int64[ndarray, "M"]) -> Int64[ndarray, "E"]:
        """Return the indices of the keys' priors in a flattened (N, P) array."""
        slots: Int64[ndarray, "E"] = self.num_priors * images[self.objects(keys)]
        slots += self.priors(keys)
        return slots


def _overlaps(
    boxes: Float[Tensor, "K 4"], corners: Float[Tensor, "P 4"]
) -> Float32[ndarray, "K P"]:
    """Compute the IoU of all pairs, equal to that of `vision.boxes.iou` to the last bit."""
    overlaps, areas = torch.empty(len(boxes), len(corners)), box_ops.area(corners)
    for chunk, result in zip(torch.split(boxes, CHUNK), torch.split(overlaps, CHUNK), strict=True):
        shared = box_ops.intersection(chunk, corners)
        torch.div(shared, box_ops.area(chunk)[:, None] + areas - shared, out=result)
    return overlaps.numpy()


def _keep_greatest(
    overlaps: Float32[ndarray, "K P"],
    objects: Int64[ndarray, "K"],
    images: Int64[ndarray, "M"],
    greatest: Float32[ndarray, "N P"],
    learnt: Int64[ndarray, "N P"],
) -> None:
    """Update both arrays where an object (on ties the first) overlaps a prior more than before."""
    numbers, starts = np.unique(images[objects], return_index=True)
    for image, start, end in zip(numbers, starts, [*starts[1:], len(objects)], strict=True):
        own = overlaps[start:end]
        highest = own.max(axis=0)
        priors = (highest > greatest[image]).nonzero()[0]
        greatest[image, priors] = highest[priors]
        learnt[image, priors] = objects[start + own[:, priors].argmax(axis=0)]


def _force_best(
    overlaps: Float32[ndarray, "K P"],
    objects: Int64[ndarray, "K"],
    images: Int64[ndarray, "M"],
    layout: _Layout,
    forced: Int64[ndarray, "N P"],
) -> None:
    """Write into ``forced`` the keys of the pairs in which an object gets the prior as its own.

    The greatest pair is matched first, then the greatest whose object and prior are still free.
    Crowded objects need few of their pairs: the best share is sorted, then that of the remainder.
    """
    is_waiting = np.zeros(layout.num_objects, dtype=bool)
    is_waiting[objects] = True
    border = 1
    while border > 0 and len(objects):
        values = overlaps.reshape(-1)
        sample = np.sort(values[::STRIDE])
        is_crowded = len(values) > MIN_PAIRS and sample[-len(sample) // 4] > 0
        border = sample[-len(sample) // SHARE] if is_crowded else 0
        pairs = (values >= border if border > 0 else values > 0).nonzero()[0]
        rows = pairs // layout.num_priors
        keys = layout.keys(values[pairs], objects[rows], pairs - rows * layout.num_priors)
        _take(np.sort(keys)[::-1], images, layout, forced, is_waiting)
        rows = is_waiting[objects].nonzero()[0]
        objects = objects[rows]
        overlaps = np.where(forced[images[objects]] >= 0, np.float32(0), overlaps[rows])


def _take(
    keys: Int64[ndarray, "E"],
    images: Int64[ndarray, "M"],
    layout: _Layout,
    forced: Int64[ndarray, "N P"],
    is_waiting: Bool[ndarray, "M"],
) -> None:
    """Match each pair whose object and prior are free, in descending order of overlap."""
    held = forced.reshape(-1)
    start, size = 0, FIRST_BLOCK
    while start < len(keys) and is_waiting.any():
        block = keys[start : start + size]
        start, size = start + size, min(2 * size, MAX_BLOCK)
        block = block[is_waiting[layout.objects(block)]]
        block = block[held[layout.slots(block, images)] < 0]
        objects, slots = layout.objects(block), layout.slots(block, images)
        served, taken = set[int](), set[int]()
        pairs = zip(block.tolist(), objects.tolist(), slots.tolist(), strict=True)
        for key, object_, slot in pairs:
            if object_ not in served and slot not in taken:
                served.add(object_)
                taken.add(slot)
                held[slot] = key
        is_waiting[list(served)] = False
