"""Augmentation by the batch."""

import pytest
import torch
from torch.testing import assert_close
from torchvision.transforms import v2

from vision.data import PRESETS, AugmentPreset, augment_batch, build_augment
from vision.data.batch_augment import _distort
from vision.structures import Batch, Target


def make_batch(count: int) -> Batch:
    """Dark images with a bright box each, in an original of twice the size."""
    images = torch.full((count, 3, 40, 60), 20, dtype=torch.uint8)
    images[:, 0, 10:20, 5:25] = 200
    images = images.contiguous(memory_format=torch.channels_last)
    target = Target(
        torch.tensor([[10.0, 20.0, 50.0, 40.0]]),
        torch.tensor([3]),
        torch.tensor([True]),
        "a",
        (80, 120),
        areas=torch.tensor([500.0]),
    )
    return Batch(images, [target] * count)


def brightest(image: torch.Tensor) -> list[int]:
    rows, columns = (image.float().sum(0) > image.float().sum(0).mean()).nonzero().unbind(1)
    return [int(v) for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)]


@pytest.mark.parametrize("preset", ["ssdlite", "ssd"])
def test_boxes_follow_the_pixels_image_by_image(preset: str) -> None:
    batch = make_batch(40)
    found = augment_batch(batch, preset, 1, 2)
    flipped = 0
    for image, target in zip(found.images, found.targets, strict=True):
        assert brightest(image) == (target.boxes[0] / 2).tolist()
        assert (target.labels.item(), target.ignore.item(), target.areas.item()) == (3, True, 500)
        assert target.size == (80, 120)
        flipped += target.boxes[0, 0].item() != 10
    assert 8 < flipped < 32
    assert found.images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch.images, make_batch(40).images)


def test_the_key_alone_decides() -> None:
    batch = make_batch(8)
    first = augment_batch(batch, "ssd", 1, 2)
    torch.rand(3)
    assert torch.equal(augment_batch(batch, "ssd", 1, 2).images, first.images)
    assert not torch.equal(augment_batch(batch, "ssd", 1, 3).images, first.images)


def test_none_leaves_the_batch_alone() -> None:
    batch = make_batch(2)
    assert augment_batch(batch, "none", 1) is batch


def test_a_new_preset_is_one_entry_for_images_and_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(PRESETS, "flip", AugmentPreset(flip=True))
    assert build_augment("flip") is not None
    assert build_augment("flip", on_device=True) is None
    batch = make_batch(8)
    found = augment_batch(batch, "flip", 1)
    assert not torch.equal(found.images, batch.images)
    assert torch.equal(found.images.sum((2, 3)), batch.images.sum((2, 3)))


@pytest.mark.parametrize(
    ("column", "draw", "expected"),
    [
        (0, 1.0, lambda image: v2.functional.adjust_brightness(image, 1.125)),
        (1, 0.0, lambda image: v2.functional.adjust_contrast(image, 0.5)),
        (1, 0.75, lambda image: v2.functional.adjust_contrast(image, 1.25)),
        (2, 0.0, lambda image: v2.functional.adjust_saturation(image, 0.5)),
        (3, 0.5, lambda image: image),
    ],
)
def test_each_colour_change_is_torchvisions(column: int, draw: float, expected: object) -> None:
    assert callable(expected)
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(60, 180, (1, 3, 30, 30), generator=generator, dtype=torch.uint8)
    draws = torch.full((1, 8), 0.9)
    draws[0, column], draws[0, 4 + column] = draw, 0.1
    found = _distort(image, draws)
    assert_close(found.float(), expected(image).float(), rtol=0, atol=2.0)


def test_a_turn_of_the_hue_keeps_the_brightness_and_changes_colour() -> None:
    image = torch.tensor([200, 100, 80], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    draws = torch.full((1, 8), 0.9)
    draws[0, 3], draws[0, 7] = 1.0, 0.1
    found = _distort(image, draws)[0, :, 0, 0].float()
    weights = torch.tensor([0.299, 0.587, 0.114])
    assert (found * weights).sum().item() == pytest.approx(127.6, abs=1.5)
    assert (found - torch.tensor([200.0, 100, 80])).abs().max() > 5
