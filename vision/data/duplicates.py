"""Images that are the same picture, found by a perceptual hash."""

# h and w the height and width of an image, n images

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

SIDE = 16
"""Rows and columns of the lowest frequencies that a hash compares."""
MAX_DISTANCE = 32
"""Most different bits, of 255, in hashes of one picture. Compressed again, resized or brightened,
photographs differ in up to 30; different ones of VOC, COCO, microscopes and cards in 52 or more."""
CHUNK = 2048
"""Number of images compared with all others at a time, which bounds the memory."""


def image_hash(image: UInt8[ndarray, "h w 3"]) -> UInt8[ndarray, "32"]:
    """A hash of 255 bits that stays nearly the same when a picture is resized or compressed.

    Each bit says whether one of the lowest frequencies of the discrete cosine transform exceeds
    their median.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (4 * SIDE, 4 * SIDE), interpolation=cv2.INTER_AREA)
    frequencies = cv2.dct(small.astype(np.float32))[:SIDE, :SIDE].ravel()[1:]
    return np.packbits(frequencies > np.median(frequencies))


def duplicate_groups(hashes: Sequence[UInt8[ndarray, "32"]]) -> list[list[int]]:
    """Groups of images that are near duplicates, directly or by way of others.

    Args:
        hashes: Of each image, by `image_hash`.

    Returns:
        The indices of each group of two images or more, in rising order.
    """
    if not hashes:
        return []
    # Equal hashes are joined beforehand, so that a folder of one picture is no square of pairs.
    unique, index_of_unique = np.unique(np.stack(hashes), axis=0, return_inverse=True)
    parent = list(range(len(unique)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for first, second in _pairs(unique):
        parent[root(second)] = root(first)
    groups: dict[int, list[int]] = {}
    for index, position in enumerate(index_of_unique.ravel().tolist()):
        groups.setdefault(root(position), []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def _pairs(hashes: UInt8[ndarray, "n 32"]) -> Iterator[tuple[int, int]]:
    """The pairs of indices whose hashes differ in few bits."""
    # With bits as signs, the scalar product of two hashes is 256 minus twice their distance.
    signs = np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1
    for start in range(0, len(signs), CHUNK):
        products = signs[start : start + CHUNK] @ signs[start:].T
        rows, columns = np.nonzero(products >= signs.shape[1] - 2 * MAX_DISTANCE)
        later = columns > rows
        yield from zip(
            (rows[later] + start).tolist(), (columns[later] + start).tolist(), strict=True
        )
