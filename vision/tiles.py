"""Tiles of an image, which enlarge small objects for the network, and merging of their boxes."""

# n boxes of all tiles, h w the height and width of an image

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Bool, UInt8
from numpy import ndarray
from torch import Tensor

import vision.boxes as box_ops
from vision.choices import MAX_TILES
from vision.detections import Detections
from vision.errors import ConfigError
from vision.model import PostProcess

Tiles: TypeAlias = int | Literal["auto"]
"""Number of tiles along each side (1: the whole image only), or ``auto``: by the image's size."""
OVERLAP = 0.25
"""Fraction of a tile's side that its neighbour also covers."""
MAX_AUTO = 16
"""Maximum number of tiles of an image with ``auto``."""
MARGIN = 0.02
"""Fraction of a tile's side at its border: a box that ends there is of a cut object."""


class Tile(NamedTuple):
    """A rectangle of an image, in pixels."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.y1 - self.y0, self.x1 - self.x0

    def of(self, image: UInt8[ndarray, "h w 3"]) -> UInt8[ndarray, "_ _ 3"]:
        """Return the tile's part of an image, as a view."""
        return image[self.y0 : self.y1, self.x0 : self.x1]


def place_tiles(size: tuple[int, int], network_size: tuple[int, int], tiles: object) -> list[Tile]:
    """Return the whole image, which shows the large objects, and its tiles if there are several.

    Tiles overlap by `OVERLAP`, so that an object is complete in one of them if it is smaller than
    the overlap minus two margins (`MARGIN`). Unless ``tiles`` is ``auto``, they have the image's
    aspect ratio.

    Args:
        size: (height, width) of the image.
        network_size: (height, width) of the network's input. With ``auto``, tiles have about this
            size, or are larger if there would be more than `MAX_AUTO`.
        tiles: A value of `Tiles`, not yet checked.

    Raises:
        ConfigError: If ``tiles`` is neither a number from 1 to `MAX_TILES` nor ``auto``.
    """
    rows, columns = _choose_grid(size, network_size, tiles)
    whole = Tile(0, 0, size[1], size[0])
    if rows * columns == 1:
        return [whole]
    spans = [list(_spans(side, count)) for side, count in zip(size, (rows, columns), strict=True)]
    return [whole, *(Tile(x0, y0, x1, y1) for y0, y1 in spans[0] for x0, x1 in spans[1])]


def _choose_grid(
    size: tuple[int, int], network_size: tuple[int, int], tiles: object
) -> tuple[int, int]:
    """Choose the numbers of rows and columns."""
    if tiles != "auto":
        if not isinstance(tiles, int) or not 1 <= tiles <= MAX_TILES:
            raise ConfigError(
                f"tiles: expected an integer from 1 to {MAX_TILES}, or auto, got {tiles}"
            )
        return min(tiles, size[0]), min(tiles, size[1])
    scale = 1.0
    while True:
        rows, columns = (
            max(1, round((side / (scale * own) - OVERLAP) / (1 - OVERLAP)))
            for side, own in zip(size, network_size, strict=True)
        )
        if rows * columns <= MAX_AUTO:
            return rows, columns
        scale *= 1.05


def _spans(side: int, count: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each of ``count`` equal, overlapping parts of a side."""
    length = min(side, -int(-side // (count - (count - 1) * OVERLAP)))
    for index in range(count):
        start = round(index * (side - length) / max(1, count - 1))
        yield start, start + length


def merge_tiles(
    found: Sequence[Detections], tiled: Sequence[Sequence[Tile]], post_process: PostProcess
) -> list[Detections]:
    """Merge the detections in the tiles of each image, highest score first.

    A box that ends at a tile's border inside the image surrounds only a part of an object, so its
    IoU with the box of the complete object says nothing. It is left out: a neighbouring tile shows
    the complete object, or the whole image does if the object is larger than the overlap.
    Non-maximum suppression removes what several tiles have found.

    Args:
        found: Detections in each tile of each image, in the tile's own pixels.
        tiled: The tiles of each image, from `place_tiles`.
        post_process: Its IoU threshold, limit and grouping of classes apply to the merged boxes.
    """
    remaining = iter(found)
    parts = [list(islice(remaining, len(tiles))) for tiles in tiled]
    return [_merge(*pair, post_process) for pair in zip(parts, tiled, strict=True)]


def _merge(
    found: Sequence[Detections], tiles: Sequence[Tile], post_process: PostProcess
) -> Detections:
    if not tiles[1:]:
        return found[0]
    pairs = list(zip(found, tiles, strict=True))
    kept = [part[~_is_cut(part, tile, tiles[0])] for part, tile in pairs]
    corners = [torch.tensor([tile.x0, tile.y0] * 2) for tile in tiles]
    merged = replace(
        found[0],
        boxes=torch.cat([part.boxes + xyxy for part, xyxy in zip(kept, corners, strict=True)]),
        scores=torch.cat([part.scores for part in kept]),
        labels=torch.cat([part.labels for part in kept]),
    )
    groups = torch.zeros_like(merged.labels) if post_process.class_agnostic else merged.labels
    best = box_ops.nms(merged.boxes, merged.scores, groups, post_process.nms_iou)
    return merged[best[: post_process.max_detections]]


def _is_cut(found: Detections, tile: Tile, whole: Tile) -> Bool[Tensor, "n"]:
    """Whether each box ends at a border of the tile that is not a border of the image."""
    height, width = tile.size
    margin = found.boxes.new_tensor([width, height] * 2) * MARGIN
    edges = found.boxes.new_tensor([0, 0, width, height])
    is_inner = torch.tensor(tile) != torch.tensor(whole)
    return ((found.boxes - edges).abs() <= margin)[:, is_inner].any(dim=1)
