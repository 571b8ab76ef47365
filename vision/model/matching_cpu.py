"""Matching on the CPU: parts of a batch, by those pairs of object and prior that overlap most."""

# M objects of the batch, K of a part, P priors, E pairs that overlap

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
"""Number of objects whose overlaps with all priors are computed at once: they fit the cache."""
MAX_OBJECTS = 2048
"""Number of objects matched at once, besides those that have a prior of their own."""
MIN_PAIRS, SHARE, STRIDE = 1 << 16, 12, 101
"""Of more pairs, if many overlap, a twelfth is sorted at once; each 101st says which."""
FIRST_BLOCK, MAX_BLOCK = 32, 4096
"""Pairs that are taken one by one between two looks at which objects and priors are free."""


def match_on_cpu(
    targets: PackedTargets, priors: Float[Tensor, "P 4"], match_iou: float
) -> Int64[Tensor, "N P"]:
    """The row of the object that each prior learns, -1 for none, by the rules of `match`.

    Many objects are matched part by part. One that gets no prior of its own gets none beside
    further objects of its image either: only the others are matched again with the next part.
    """
    rows = targets.positive.nonzero()[:, 0]
    boxes, images = targets.boxes[rows], targets.images[rows].numpy()
    corners = box_ops.to_corners(priors)
    corners = corners.T.contiguous().T  # Each coordinate's values side by side are read faster.
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
            # Only a greater overlap takes from an object of this image the prior that it has.
            same = overlaps[: (images[objects] == images[part[0]]).sum()]
            same[same < layout.overlaps(held)] = 0
        _keep_greatest(overlaps, objects, images, greatest, learnt)
        held[:] = -1
        _force_best(overlaps, objects, images, layout, forced)
    objects = np.where(forced >= 0, layout.objects(forced), learnt)
    return torch.cat([rows, rows.new_tensor([-1])])[torch.from_numpy(objects)]


def _parts(images: Int64[ndarray, "M"]) -> Iterator[Int64[ndarray, "K"]]:
    """Objects by number, few enough to be matched at once; an image is cut only if it has more."""
    start = 0
    while start < len(images):
        end = min(start + MAX_OBJECTS, len(images))
        if end < len(images):
            border = int(np.searchsorted(images, images[end]))
            end = border if border > start else end
        yield np.arange(start, end)
        start = end


class _Layout(NamedTuple):
    """How a pair of object and prior is an integer, its key, in the order of the overlaps.

    The bits of a float, as an integer, rise with it from 0 on: they are the upper part. The lower
    counts backwards through the objects, then the priors: of equal overlaps the first object's is
    the greatest, and among its own the first prior's.
    """

    num_objects: int
    num_priors: int

    @property
    def bits(self) -> tuple[int, int]:
        """The bits of a key for its prior, and all below its overlap."""
        low = self.num_priors.bit_length()
        return low, low + self.num_objects.bit_length()

    def keys(
        self,
        overlaps: Float32[ndarray, "E"],
        objects: Int64[ndarray, "E"],
        priors: Int64[ndarray, "E"],
    ) -> Int64[ndarray, "E"]:
        """The keys of some pairs."""
        keys: Int64[ndarray, "E"] = overlaps.view(np.int32).astype(np.int64) << self.bits[1]
        keys |= (self.num_objects - objects) << self.bits[0] | (self.num_priors - priors)
        return keys

    def overlaps(self, keys: Int64[ndarray, "*E"]) -> Float32[ndarray, "*E"]:
        """The overlaps of some keys."""
        upper: Int64[ndarray, "*E"] = keys >> self.bits[1]
        return upper.astype(np.int32).view(np.float32)

    def objects(self, keys: Int64[ndarray, "*E"]) -> Int64[ndarray, "*E"]:
        """The objects of some keys."""
        mask = (1 << self.num_objects.bit_length()) - 1
        return self.num_objects - (keys >> self.bits[0] & mask)

    def priors(self, keys: Int64[ndarray, "*E"]) -> Int64[ndarray, "*E"]:
        """The priors of some keys."""
        return self.num_priors - (keys & (1 << self.bits[0]) - 1)

    def slots(self, keys: Int64[ndarray, "E"], images: Int64[ndarray, "M"]) -> Int64[ndarray, "E"]:
        """The places of some keys' priors in an array of N images with P priors."""
        slots: Int64[ndarray, "E"] = self.num_priors * images[self.objects(keys)]
        slots += self.priors(keys)
        return slots


def _overlaps(
    boxes: Float[Tensor, "K 4"], corners: Float[Tensor, "P 4"]
) -> Float32[ndarray, "K P"]:
    """The overlaps of all pairs, as those of `vision.boxes.iou` to the last bit."""
    overlaps, areas = torch.empty(len(boxes), len(corners)), box_ops.area(corners)
    for some, result in zip(torch.split(boxes, CHUNK), torch.split(overlaps, CHUNK), strict=True):
        shared = box_ops.intersection(some, corners)
        torch.div(shared, box_ops.area(some)[:, None] + areas - shared, out=result)
    return overlaps.numpy()


def _keep_greatest(
    overlaps: Float32[ndarray, "K P"],
    objects: Int64[ndarray, "K"],
    images: Int64[ndarray, "M"],
    greatest: Float32[ndarray, "N P"],
    learnt: Int64[ndarray, "N P"],
) -> None:
    """Write the first object of the greatest overlap where it is greater than that so far."""
    numbers, starts = np.unique(images[objects], return_index=True)
    for image, start, end in zip(numbers, starts, [*starts[1:], len(objects)], strict=True):
        some = overlaps[start:end]
        most = some.max(axis=0)
        priors = (most > greatest[image]).nonzero()[0]
        greatest[image, priors] = most[priors]
        learnt[image, priors] = objects[start + some[:, priors].argmax(axis=0)]


def _force_best(
    overlaps: Float32[ndarray, "K P"],
    objects: Int64[ndarray, "K"],
    images: Int64[ndarray, "M"],
    layout: _Layout,
    forced: Int64[ndarray, "N P"],
) -> None:
    """Write into ``forced`` the key of the object that gets each prior as its own.

    The greatest pair gets its prior, then the greatest of an object and a prior that are free.
    Crowded objects get priors from few of their pairs: a share is sorted, then one of the rest.
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
    """Give the prior of each pair, by falling overlap, to its object, if both are free."""
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
