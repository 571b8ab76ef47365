"""Matching on the CPU: image by image, by those pairs of object and prior that overlap."""

# M objects of an image, P priors, E pairs that overlap

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from numpy import ndarray
from torch import Tensor

import vision.boxes as box_ops
from vision.structures import PackedTargets

CHUNK = 32
"""Objects whose overlaps with all priors are computed at once, so that they stay in the cache."""
MAX_OBJECTS = 2048
"""Objects that are matched at once, besides those that have a prior of their own."""
FIRST_BLOCK, MAX_BLOCK = 32, 4096
"""Pairs that are taken one by one between two looks at which objects and priors are free."""


def match_on_cpu(
    targets: PackedTargets, priors: Float[Tensor, "P 4"], match_iou: float
) -> Int64[Tensor, "N P"]:
    """The row of the object that each prior learns, -1 for none, by the rules of `match`.

    Many objects are matched part by part. An object that gets no prior of its own gets none beside
    further objects of its image either, so that only the others are matched again with the next
    part.
    """
    rows = targets.positive.nonzero()[:, 0]
    boxes, images = targets.boxes[rows], targets.images[rows].numpy()
    corners = box_ops.to_corners(priors)
    corners = corners.T.contiguous().T  # Each coordinate's values side by side are read faster.
    layout = _Layout(len(rows), len(priors))
    best = np.full((targets.num_images, len(priors)), -1)
    forced = np.full_like(best, -1)
    for part in _parts(images):
        held = forced[images[part[0]]]
        objects, kept = np.concatenate([layout.objects(held[held >= 0]), part]), []
        for keys in _overlapping(boxes, objects, corners, layout):
            slots = layout.slots(keys, images)
            np.maximum.at(best.reshape(-1), slots, keys)
            if len(objects) > len(part):
                # Only a greater overlap takes from an object the prior that it has.
                keys = keys[keys >= forced.reshape(-1)[slots]]  # noqa: PLW2901
            kept.append(keys)
        held[:] = -1
        _force_best(np.concatenate(kept), images, layout, forced, len(objects))
    is_match = (forced >= 0) | (best >= 0) & (layout.overlaps(best) >= np.float32(match_iou))
    objects = np.where(is_match, layout.objects(np.where(forced >= 0, forced, best)), -1)
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

    The bits of a float, as an integer, rise with it from 0 on. They are the upper part of a key.
    The lower part counts backwards through the objects, then through the priors: of equal overlaps,
    the first object's is the greatest, and among its own the first prior's.
    """

    num_objects: int
    num_priors: int

    @property
    def prior_bits(self) -> int:
        """The lowest bits of a key."""
        return self.num_priors.bit_length()

    @property
    def pair_bits(self) -> int:
        """The bits of a key below its overlap."""
        return self.prior_bits + self.num_objects.bit_length()

    def keys(
        self,
        overlaps: Float32[ndarray, "E"],
        objects: Int64[ndarray, "E"],
        priors: Int64[ndarray, "E"],
    ) -> Int64[ndarray, "E"]:
        """The keys of some pairs."""
        keys: Int64[ndarray, "E"] = overlaps.view(np.int32).astype(np.int64) << self.pair_bits
        keys |= (self.num_objects - objects) << self.prior_bits | (self.num_priors - priors)
        return keys

    def overlaps(self, keys: Int64[ndarray, "*E"]) -> Float32[ndarray, "*E"]:
        """The overlaps of some keys."""
        upper: Int64[ndarray, "*E"] = keys >> self.pair_bits
        return upper.astype(np.int32).view(np.float32)

    def objects(self, keys: Int64[ndarray, "*E"]) -> Int64[ndarray, "*E"]:
        """The objects of some keys."""
        mask = (1 << self.num_objects.bit_length()) - 1
        return self.num_objects - (keys >> self.prior_bits & mask)

    def priors(self, keys: Int64[ndarray, "*E"]) -> Int64[ndarray, "*E"]:
        """The priors of some keys."""
        return self.num_priors - (keys & (1 << self.prior_bits) - 1)

    def slots(self, keys: Int64[ndarray, "E"], images: Int64[ndarray, "M"]) -> Int64[ndarray, "E"]:
        """The places of some keys' priors in an array of N images with P priors."""
        slots: Int64[ndarray, "E"] = self.num_priors * images[self.objects(keys)]
        slots += self.priors(keys)
        return slots


def _overlapping(
    boxes: Float[Tensor, "M 4"],
    objects: Int64[ndarray, "K"],
    corners: Float[Tensor, "P 4"],
    layout: _Layout,
) -> Iterator[Int64[ndarray, "E"]]:
    """The keys of all pairs of some objects and any prior whose overlap is above 0, in chunks."""
    areas, prior_areas = box_ops.area(boxes).numpy(), box_ops.area(corners).numpy()
    for some in np.split(objects, range(CHUNK, len(objects), CHUNK)):
        shared = box_ops.intersection(boxes[torch.from_numpy(some)], corners).numpy().reshape(-1)
        pairs = (shared > 0).nonzero()[0]
        shared = shared[pairs]
        found, priors = some[pairs // len(corners)], pairs % len(corners)
        # As in `vision.boxes.iou`, to the last bit
        overlaps = shared / (areas[found] + prior_areas[priors] - shared)
        yield layout.keys(overlaps, found, priors)[overlaps > 0]


def _force_best(
    keys: Int64[ndarray, "E"],
    images: Int64[ndarray, "M"],
    layout: _Layout,
    forced: Int64[ndarray, "N P"],
    num_objects: int,
) -> None:
    """Write into ``forced`` the key of the object that gets each prior as its own.

    The greatest pair gets its prior, then the greatest of an object and a prior that are free.
    ``num_objects`` take part.
    """
    keys = np.sort(keys)[::-1]
    held = forced.reshape(-1)
    is_waiting = np.ones(layout.num_objects, dtype=bool)
    start, size = 0, FIRST_BLOCK
    while start < len(keys) and num_objects:
        block = keys[start : start + size]
        start, size = start + size, min(2 * size, MAX_BLOCK)
        objects, slots = layout.objects(block), layout.slots(block, images)
        free = (is_waiting[objects] & (held[slots] < 0)).nonzero()[0]
        block, objects, slots = block[free], objects[free], slots[free]
        chosen = _first_come(objects.tolist(), slots.tolist())
        is_waiting[objects[chosen]] = False
        held[slots[chosen]] = block[chosen]
        num_objects -= len(chosen)


def _first_come(objects: Sequence[int], slots: Sequence[int]) -> list[int]:
    """The pairs whose object and slot are in no pair that was chosen before them."""
    served: set[int] = set()
    taken: set[int] = set()
    chosen = []
    for index, (object_, slot) in enumerate(zip(objects, slots, strict=True)):
        if object_ not in served and slot not in taken:
            served.add(object_)
            taken.add(slot)
            chosen.append(index)
    return chosen
