"""Photometric distortion on the CPU, by torchvision's."""

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from jaxtyping import UInt8
from numpy import ndarray
from torchvision.transforms import v2

from tests.data.test_transforms import ks_distance
from tests.formats.builders import picture
from vision.data.colour import Distortion, distort, draw_distortion

CHANGES = {
    "nothing": Distortion(),
    "darker": Distortion(brightness=0.875),
    "brighter": Distortion(brightness=1.125),
    "less contrast": Distortion(contrast=0.5),
    "more contrast": Distortion(contrast=1.5),
    "paler": Distortion(saturation=0.5),
    "richer": Distortion(saturation=1.5),
    "hue forth": Distortion(hue=0.05),
    "hue back": Distortion(hue=-0.05),
    "channels": Distortion(order=(2, 0, 1)),
    "all, contrast first": Distortion(1.1, 1.4, 0.6, 0.03, True, (1, 0, 2)),
    "all, contrast last": Distortion(1.1, 1.4, 0.6, 0.03, False, (1, 0, 2)),
}


def torchvisions(image: UInt8[ndarray, "_ _ 3"], change: Distortion) -> Any:  # noqa: ANN401
    params: dict[str, Any] = {
        "brightness_factor": change.brightness,
        "contrast_factor": change.contrast,
        "saturation_factor": change.saturation,
        "hue_factor": change.hue or None,
        "contrast_before": change.is_contrast_first,
        "channel_permutation": torch.tensor(change.order),
    }
    pixels = torch.from_numpy(image).permute(2, 0, 1)
    return v2.RandomPhotometricDistort().transform(pixels, params).permute(1, 2, 0).numpy()


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_is_torchvisions(name: str) -> None:
    """To a level where steps are rounded, not cut, and to 8 where the hue is held in 8 bits."""
    change = CHANGES[name]
    image = np.asarray(cv2.GaussianBlur(picture(60, 80), (0, 0), 2), np.uint8)
    image = np.asarray(cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX), np.uint8)  # type: ignore[call-overload]
    found = distort(image, change, image)
    gaps = np.abs(found.astype(int) - torchvisions(image, change))
    assert gaps.max() <= (8 if change.hue else 2)
    assert gaps.mean() < 1.5
    assert (name == "nothing") == np.array_equal(found, image)


@pytest.mark.parametrize("is_contrast_first", [True, False])
def test_the_mean_grey_of_bright_images_is_that_of_the_levels_cut_at_255(
    *, is_contrast_first: bool
) -> None:
    change = Distortion(1.125, 1.5, is_contrast_first=is_contrast_first)
    ramp = np.tile(np.arange(200, 256, dtype=np.uint8)[:, None, None], (1, 4, 3))
    for image in (ramp, np.full((4, 4, 3), 255, np.uint8)):
        gaps = distort(image, change, image).astype(int) - torchvisions(image, change)
        assert np.abs(gaps).max() <= 2


def test_contrast_changes_about_the_grey_of_the_image_that_a_crop_is_part_of() -> None:
    image, whole = np.full((4, 4, 3), 100, np.uint8), np.full((8, 8, 3), 200, np.uint8)
    assert (distort(image, Distortion(contrast=0.5), whole) == 150).all()


def test_distortions_have_torchvisions_distribution() -> None:
    torch.manual_seed(0)
    rng, reference = np.random.default_rng(0), v2.RandomPhotometricDistort()
    pixels = torch.zeros(3, 1, 1, dtype=torch.uint8)
    theirs = [reference.make_params([pixels]) for _ in range(2000)]
    ours = [draw_distortion(rng) for _ in range(2000)]
    names = ("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor")
    for name in names:
        attribute = name.removesuffix("_factor")
        neutral = 0.0 if name == "hue_factor" else 1.0
        expected = [neutral if row[name] is None else row[name] for row in theirs]
        assert ks_distance([getattr(row, attribute) for row in ours], expected) < 2.2
    first = [sum(row.is_contrast_first for row in ours)]
    first.append(sum(row["contrast_before"] for row in theirs))
    assert abs(first[0] - first[1]) < 4 * (4000 * 0.25) ** 0.5
    codes = [float(np.dot(row.order, (9, 3, 1))) for row in ours]
    permuted = [row["channel_permutation"] for row in theirs]
    orders = [(0, 1, 2) if order is None else order.tolist() for order in permuted]
    expected = [float(np.dot(order, (9, 3, 1))) for order in orders]
    assert ks_distance(codes, expected) < 2.2
