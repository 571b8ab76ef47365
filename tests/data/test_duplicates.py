"""Near duplicates are found, and different images are not taken for them."""

import cv2
import numpy as np
import pytest
from jaxtyping import UInt8
from numpy import ndarray

from vision.data import duplicates
from vision.data.duplicates import duplicate_groups, image_hash
from vision.data.synthetic import render_scene


def scene(seed: int) -> UInt8[ndarray, "h w 3"]:
    return render_scene(seed, 0, (240, 320))


def jpeg(image: UInt8[ndarray, "h w 3"], quality: int) -> UInt8[ndarray, "h w 3"]:
    content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)


@pytest.mark.parametrize("seed", range(5))
def test_a_changed_copy_is_a_duplicate_and_another_scene_is_not(seed: int) -> None:
    image = scene(seed)
    bright = np.clip(image.astype(int) + 20, 0, 255).astype(np.uint8)
    copies = [image, jpeg(image, 40), cv2.resize(image, (640, 640)), bright]
    others = [scene(100 + seed), np.ascontiguousarray(image[:, ::-1])]
    groups = duplicate_groups([image_hash(one) for one in [others[0], *copies, others[1]]])
    assert groups == [[1, 2, 3, 4]]


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_groups_are_joined_across_chunks(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """0 and 4 are alike by way of 2 alone."""
    monkeypatch.setattr(duplicates, "CHUNK", chunk)
    rng = np.random.default_rng(0)
    bits = [rng.integers(0, 2, 256, np.uint8) for _ in range(5)]
    bits[2], bits[4] = bits[0].copy(), bits[0].copy()
    bits[2][:30] ^= 1
    bits[4][:60] ^= 1
    assert duplicate_groups([np.packbits(row) for row in bits]) == [[0, 2, 4]]
    bits[2][30:40] ^= 1
    assert duplicate_groups([np.packbits(row) for row in bits]) == [[2, 4]]


@pytest.mark.parametrize("count", [0, 1])
def test_few_images_have_no_duplicates(count: int) -> None:
    assert duplicate_groups([image_hash(scene(0))] * count) == []
