"""Tiles: where they lie, and that what is found in them lands where it is, once."""

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor

from vision.choices import MAX_TILES
from vision.config import ModelConfig
from vision.detections import Detections
from vision.detector import Detector
from vision.errors import ConfigError
from vision.images import resize
from vision.model import build_post_process
from vision.runtime import RuntimeOptions
from vision.structures import Decoded
from vision.tiles import MARGIN, MAX_AUTO, OVERLAP, Tiles, place_tiles

SIDE = 64
"""Of the stand-in's input."""
SMALLEST = 6
"""Side in pixels of its input of the smallest object that it finds."""
Size = tuple[int, int]
SIZES = st.tuples(st.integers(150, 400), st.integers(150, 400))


class FindsPatches:
    """A session that finds red patches as cats and green ones as dogs, the larger the surer."""

    image_size = (SIDE, SIDE)
    options = RuntimeOptions()

    def __call__(self, images: UInt8[Tensor, "N 3 H W"]) -> Decoded:
        """The boxes of connected patches."""
        boxes, scores = torch.zeros(len(images), 20, 4), torch.zeros(len(images), 20, 2)
        for number, label in itertools.product(range(len(images)), range(2)):
            mask = (images[number, label] > 127).numpy().astype(np.uint8)
            patches = cv2.connectedComponentsWithStats(mask)[2][1:]
            for row, (x, y, width, height, _) in enumerate(patches[:10]):
                box = torch.tensor([x, y, x + width, y + height]) / SIDE
                boxes[number, 10 * label + row] = box
                if min(width, height) >= SMALLEST:
                    size = float((box[2] - box[0]) * (box[3] - box[1]))
                    scores[number, 10 * label + row, label] = 0.5 + size / 2
        return Decoded(boxes, scores)


def detector_with(tiles: Tiles, *, class_agnostic: bool = False) -> Detector:
    post_process = build_post_process(ModelConfig())
    post_process = replace(post_process, class_agnostic=class_agnostic)
    detector = Detector(FindsPatches(), post_process, ["cat", "dog"], score=0.4)
    detector.tiles = tiles
    return detector


def image_with(size: Size, *patches: tuple[list[int], int]) -> UInt8[ndarray, "h w 3"]:
    """A black image with patches: each a box, and the index of its colour."""
    image = np.zeros((*size, 3), np.uint8)
    for (x0, y0, x1, y1), channel in patches:
        image[y0:y1, x0:x1, channel] = 255
    return image


def draw_box(data: st.DataObject, size: Size, low: float, high: float) -> list[int]:
    """A box anywhere, with sides of ``low`` to ``high`` times those of the image, and more."""
    starts, ends = [], []
    for side in reversed(size):
        shortest = int(low * side) + 1
        length = data.draw(st.integers(shortest, max(shortest, int(high * side))))
        starts.append(data.draw(st.integers(0, side - length)))
        ends.append(starts[-1] + length)
    return [*starts, *ends]


def check_found(found: Detections, box: list[int], pixel: float) -> None:
    assert found.boxes.shape == (1, 4)
    assert (found.boxes[0] - torch.tensor(box)).abs().max() <= 1 + pixel


@given(st.data(), SIZES, st.sampled_from([2, 3]))
def test_an_object_is_found_once_where_it_is(data: st.DataObject, size: Size, tiles: int) -> None:
    """Across borders too: a small one completely in a tile, another one in the whole image."""
    part = 1 / (tiles - (tiles - 1) * OVERLAP)
    low, high = (SMALLEST + 1) / SIDE * part, (OVERLAP - 2 * MARGIN) * part - 4 / min(size)
    small = draw_box(data, size, low, high)
    check_found(detector_with(tiles)(image_with(size, (small, 0))), small, max(size) * part / SIDE)
    large = draw_box(data, size, (SMALLEST + 3) / SIDE, 1.0)
    check_found(detector_with(tiles)(image_with(size, (large, 1))), large, max(size) / SIDE)


def test_what_is_small_in_the_image_is_found_in_tiles_alone() -> None:
    image = image_with((600, 600), ([284, 290, 322, 330], 1))
    found = [detector_with(tiles)(image) for tiles in (1, 2, "auto")]
    assert [len(one) for one in found] == [0, 1, 1]
    assert all(one.size == (600, 600) and one.image is image for one in found)


def test_classes_suppress_each_other_across_tiles_if_they_do_within() -> None:
    box = [150, 90, 215, 170]
    image = image_with((300, 400), (box, 0), (box, 1))
    assert detector_with(2)(image).summary() == "1 cat, 1 dog"
    assert len(detector_with(2, class_agnostic=True)(image)) == 1


@pytest.mark.parametrize(("tiles", "size"), [(1, (300, 200)), ("auto", (70, 60))])
def test_one_tile_is_the_image_as_without_tiles(tiles: Tiles, size: Size) -> None:
    image = image_with(size, ([10, 12, 55, 58], 0))
    detector = detector_with(tiles)
    batch = torch.from_numpy(resize(image, (SIDE, SIDE))).permute(2, 0, 1)[None]
    (expected,) = detector.detect_batch(batch, [size])
    assert len(expected) == 1
    assert torch.equal(detector(image).boxes, expected.boxes)
    assert torch.equal(detector(image).scores, expected.scores)


@given(st.tuples(st.integers(40, 3000), st.integers(40, 3000)), st.integers(2, MAX_TILES))
def test_tiles_overlap_by_more_than_a_small_object(size: Size, tiles: int) -> None:
    whole, *others = place_tiles(size, (SIDE, SIDE), tiles)
    assert (whole.size, len(others)) == (size, tiles**2)
    assert len({tile.size for tile in others}) == 1
    for axis in range(2):
        spans = sorted({(tile[axis], tile[axis + 2]) for tile in others})
        assert (spans[0][0], spans[-1][1]) == (0, size[1 - axis])
        for (_, end), (start, next_end) in itertools.pairwise(spans):
            assert end - start >= OVERLAP * (next_end - start) - 2  # by whole pixels


@given(st.tuples(st.integers(1, 20_000), st.integers(1, 20_000)))
def test_auto_has_tiles_of_the_networks_size_or_its_most(size: Size) -> None:
    whole, *others = place_tiles(size, (SIDE, SIDE), "auto")
    assert len(others) <= MAX_AUTO
    assert others or max(whole.size) < 2 * SIDE
    if len(others) < MAX_AUTO / 2:
        assert max(max(tile.size) for tile in others or [whole]) <= 1.5 * SIDE


@pytest.mark.parametrize("tiles", [0, MAX_TILES + 1, "all", 2.5])
def test_another_number_is_one_line(tiles: Tiles) -> None:
    with pytest.raises(
        ConfigError, match=f"tiles: expected an integer from 1 to 16, or auto, got {tiles}"
    ):
        detector_with(tiles)(image_with((40, 40)))
