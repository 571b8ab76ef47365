"""Find near-duplicate images by a perceptual hash."""

# h, w: height and width of an image; n: number of images

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

SIDE = 16
"""Number of lowest frequencies along each axis that a hash contains."""
MAX_DISTANCE = 32
"""Maximum number of bits, of 255, that differ between near duplicates. Up to 30 differ when a
photograph is compressed again, resized or brightened; 52 or more between different images of VOC,
COCO, microscopes and playing cards."""
CHUNK = 2048
"""Number of images compared with all others at a time, which bounds the memory."""


def image_hash(image: UInt8[ndarray, "h w 3"]) -> UInt8[ndarray, "32"]:
    """Compute a hash of 255 bits that hardly changes when an image is resized or compressed.

    Each bit tells whether one of the lowest frequencies of the discrete cosine transform exceeds
    the median of these frequencies.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (4 * SIDE, 4 * SIDE), interpolation=cv2.INTER_AREA)
    frequencies = cv2.dct(small.astype(np.float32))[:SIDE, :SIDE].ravel()[1:]
    return np.packbits(frequencies > np.median(frequencies))


def duplicate_groups(hashes: Sequence[UInt8[ndarray, "32"]]) -> list[list[int]]:
    """Find groups of near duplicates, directly or through other images of the group.

    Args:
        hashes: The `image_hash` of each image.

    Returns:
        For each group of two or more images, their indices in ascending order.
    """
    if not hashes:
        return []
    # Equal hashes are merged first: n copies of one image would give n * n / 2 pairs.
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
    """Yield pairs of indices whose hashes differ in at most `MAX_DISTANCE` bits."""
    # With bits as +1 and -1, the dot product of two hashes is 256 minus twice their distance.
    signs = np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1
    for start in range(0, len(signs), CHUNK):
        products = signs[start : start + CHUNK] @ signs[start:].T
        rows, columns = np.nonzero(products >= signs.shape[1] - 2 * MAX_DISTANCE)
        later = columns > rows
        yield from zip(
            (rows[later] + start).tolist(), (columns[later] + start).tolist(), strict=True
        )
