"""Augmentation: boxes go where their pixels go, and randomness depends on nothing but its seed."""

import pickle
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import UInt8
from numpy import ndarray
from torchvision.transforms import v2

import vision.boxes as box_ops
from tests.formats.builders import picture, record, stripes, write_image
from vision.config import AugmentConfig
from vision.data import PRESETS, Augment, DetectionDataset, V2Augment, build_augment, seeded
from vision.data.transforms import _IoUCrop
from vision.formats import AnnotatedObject
from vision.structures import Target

AUGMENTING = [name for name in PRESETS if name != "none"]


def preset(name: str) -> Augment:
    augment = build_augment(name)
    assert augment is not None
    return augment


def target_of(boxes: list[list[float]], size: tuple[int, int]) -> Target:
    """Labels count from 0; every second one is ignored, every fourth a crowd."""
    labels = torch.arange(len(boxes))
    return Target(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels,
        labels % 2 == 1,
        "an image",
        size,
        labels % 4 == 3,
    )


# Flips


def test_a_flip_moves_a_box() -> None:
    """Torchvision's v2 transforms leave a plain dataclass as it is, without a word."""
    image = stripes(20, 50)
    target = target_of([[10, 5, 30, 20], [0, 0, 1, 2]], (20, 50))
    flipped, moved = V2Augment(v2.RandomHorizontalFlip(p=1))(image, target)
    assert np.array_equal(flipped, image[:, ::-1])
    assert moved.boxes.tolist() == [[20, 5, 40, 20], [49, 0, 50, 2]]
    assert (moved.image_id, moved.size) == ("an image", (20, 50))


SIZES = st.tuples(st.integers(2, 60), st.integers(2, 60))


@st.composite
def scenes(draw: st.DrawFn) -> tuple[UInt8[ndarray, "h w 3"], Target]:
    """An image and up to five boxes at whole pixels inside it."""
    height, width = draw(SIZES)
    boxes = []
    for _ in range(draw(st.integers(0, 5))):
        x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        x1, y1 = draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
        boxes.append([float(x0), float(y0), float(x1), float(y1)])
    return picture(height, width), target_of(boxes, (height, width))


@given(scenes(), st.sampled_from([v2.RandomHorizontalFlip, v2.RandomVerticalFlip]))
def test_a_flip_twice_is_no_change(
    scene: tuple[UInt8[ndarray, "h w 3"], Target], flip: type[v2.Transform]
) -> None:
    image, target = scene
    augment = V2Augment(flip(p=1))
    back, same = augment(*augment(image, target))
    assert np.array_equal(back, image)
    for name in ("boxes", "labels", "ignore", "crowd", "areas"):
        assert torch.equal(getattr(same, name), getattr(target, name))
    assert same.size == target.size


# Any preset


def same(first: Target, second: Target) -> bool:
    names = ("boxes", "labels", "ignore", "crowd", "areas")
    equal = all(torch.equal(getattr(first, name), getattr(second, name)) for name in names)
    return equal and first.size == second.size and first.image_id == second.image_id


@settings(max_examples=60)
@given(scenes(), st.sampled_from(AUGMENTING), st.integers(0, 2**32))
def test_what_comes_out_is_an_image_with_sound_boxes(
    scene: tuple[UInt8[ndarray, "h w 3"], Target], name: str, seed: int
) -> None:
    image, target = scene
    before = image.copy(), target_copy(target)
    with seeded(seed):
        changed, moved = preset(name)(image, target)
    height, width = changed.shape[:2]
    assert changed.dtype == np.uint8
    assert changed.shape == (*moved.size, 3)
    assert changed.flags["C_CONTIGUOUS"]
    assert changed.flags["WRITEABLE"]
    assert len(moved) == len(moved.labels) == len(moved.ignore) == len(moved.crowd)
    assert (moved.boxes[:, :2] >= 0).all()
    assert (moved.boxes[:, 2:] <= torch.tensor([width, height])).all()
    assert (moved.boxes[:, 2:] > moved.boxes[:, :2]).all()
    assert len(target) == 0 or len(moved) > 0
    # Flags keep to their labels, and what came in is as it was, for the next epoch.
    assert moved.ignore.tolist() == [label % 2 == 1 for label in moved.labels.tolist()]
    assert moved.crowd.tolist() == [label % 4 == 3 for label in moved.labels.tolist()]
    assert np.array_equal(image, before[0])
    assert same(target, before[1])


def target_copy(target: Target) -> Target:
    return Target(
        target.boxes.clone(),
        target.labels.clone(),
        target.ignore.clone(),
        target.image_id,
        target.size,
        target.crowd.clone(),
        target.areas.clone(),
    )


@pytest.mark.parametrize("transform", [None, v2.RandomZoomOut(fill=0, p=1)])
def test_boxes_labels_and_flags_stay_with_their_pixels(transform: v2.Transform | None) -> None:
    """Each object is painted in a colour of its label, which must fill its box afterwards."""
    size = (90, 120)
    places = [[x, y, x + 20, y + 15] for y in (5, 35, 65) for x in (5, 35, 65, 95)]
    target = target_of([[float(side) for side in place] for place in places], size)
    image = np.zeros((*size, 3), np.uint8)
    for label, (x0, y0, x1, y1) in enumerate(places):
        image[y0:y1, x0:x1] = 100 + label
    steps = [_IoUCrop(), v2.RandomHorizontalFlip()]
    augment = V2Augment(*([] if transform is None else [transform]), *steps)
    counts = set()
    for seed in range(40):
        with seeded(seed):
            changed, moved = augment(image, target)
        counts.add(len(moved))
        for box, label in zip(moved.boxes.tolist(), moved.labels.tolist(), strict=True):
            x0, y0, x1, y1 = map(int, box)
            assert [x0, y0, x1, y1] == box
            assert (changed[y0:y1, x0:x1] == 100 + label).all()
        assert moved.ignore.tolist() == [label % 2 == 1 for label in moved.labels.tolist()]
        assert moved.crowd.tolist() == [label % 4 == 3 for label in moved.labels.tolist()]
    assert max(counts) == 12
    assert len(counts) > 3


@pytest.mark.parametrize("name", AUGMENTING)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 2), (3, 50), (2, 3), (4, 4)])
def test_images_of_a_few_pixels_pass(name: str, size: tuple[int, int]) -> None:
    """SSD's crop would cut an image down to none of its pixels."""
    image, target = picture(*size), target_of([[0, 0, size[1], size[0]]], size)
    for seed in range(20):
        with seeded(seed):
            changed, moved = preset(name)(image, target)
        assert min(changed.shape[:2]) >= 1
        assert len(moved) == 1


@pytest.mark.parametrize("name", AUGMENTING)
def test_images_without_objects_pass_without_a_search_for_a_crop(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of hundreds of crops none would hold an object."""

    def refuse(*_: object) -> dict[str, Any]:
        pytest.fail("a crop was searched for")

    monkeypatch.setattr(v2.RandomIoUCrop, "make_params", refuse)
    image, target = stripes(30, 50), target_of([], (30, 50))
    for seed in range(10):
        with seeded(seed):
            changed, moved = preset(name)(image, target)
        assert (len(moved), tuple(moved.boxes.shape)) == (0, (0, 4))
        assert moved.size == changed.shape[:2]
        if name == "ssdlite":
            assert any(np.array_equal(changed, one) for one in (image, image[:, ::-1]))


def test_presets() -> None:
    assert sorted(PRESETS) == ["none", "photometric", "ssd", "ssdlite"]
    assert build_augment("none") is None
    assert get_args(AugmentConfig.model_fields["preset"].annotation) == tuple(PRESETS)
    kinds = {name: [type(step) for step in steps(name)] for name in AUGMENTING}
    crop_and_flip = [_IoUCrop, v2.RandomHorizontalFlip, v2.SanitizeBoundingBoxes]
    assert kinds["photometric"] == [v2.RandomPhotometricDistort, *crop_and_flip[1:]]
    assert kinds["ssdlite"] == crop_and_flip
    assert kinds["ssd"] == [v2.RandomPhotometricDistort, v2.RandomZoomOut, *crop_and_flip]


def steps(name: str) -> list[v2.Transform]:
    augment = preset(name)
    assert isinstance(augment, V2Augment)
    return list(augment.transform.transforms)


def test_zooming_out_lays_the_image_on_grey() -> None:
    (zoom,) = (step for step in steps("ssd") if isinstance(step, v2.RandomZoomOut))
    zoom.p = 1
    image, target = np.zeros((20, 30, 3), np.uint8), target_of([[0, 0, 30, 20]], (20, 30))
    with seeded(0):
        changed, moved = V2Augment(zoom)(image, target)
    x0, y0, x1, y1 = map(int, moved.boxes[0].tolist())
    assert (x1 - x0, y1 - y0) == (30, 20)
    assert (changed[y0:y1, x0:x1] == 0).all()
    changed[y0:y1, x0:x1] = [123, 117, 104]
    assert (changed == [123, 117, 104]).all()
    assert changed.size > image.size


# The crop


@pytest.mark.parametrize("overlap", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_the_crop_overlaps_an_object_by_what_it_promises(overlap: float) -> None:
    """In the code that SSDLite's trainers copy from each other, the condition can never fail."""
    size = (120, 160)
    boxes = torch.tensor([[10.0, 10, 50, 40], [20, 10, 150, 115], [5, 70, 20, 90]])
    crop = V2Augment(_IoUCrop(sampler_options=[overlap, 1.0]))
    image, target = stripes(*size), target_of(boxes.tolist(), size)
    best = []
    for seed in range(60):
        with seeded(seed):
            changed, moved = crop(image, target)
        if changed.shape == image.shape:
            continue
        top, left = int(changed[0, 0, 0]), int(changed[0, 0, 1])
        height, width = changed.shape[:2]
        window = torch.tensor([[left, top, left + width, top + height]], dtype=torch.float32)
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        inside = ((middles > window[:, :2]) & (middles < window[:, 2:])).all(dim=1)
        assert moved.labels.tolist() == inside.nonzero()[:, 0].tolist()
        best.append(box_ops.iou(boxes[inside], window).max().item())
    assert len(best) >= 3
    assert min(best) >= overlap


@pytest.mark.parametrize("name", ["ssd", "ssdlite"])
def test_the_crop_knows_all_overlaps_of_the_paper(name: str) -> None:
    """Section 2.2 of the paper lists 0.1, 0.3, 0.5, 0.7 and 0.9, any, and the whole image."""
    (crop,) = (step for step in steps(name) if isinstance(step, v2.RandomIoUCrop))
    assert crop.options == [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]


# Chance


@pytest.fixture
def dataset(tmp_path: Path) -> DetectionDataset:
    """Two equal images with the same object."""
    item = AnnotatedObject("a", (10, 5, 30, 20))
    records = [record(write_image(tmp_path / f"{index}.png"), item) for index in range(2)]
    return DetectionDataset(records, ["a"], (24, 32), preset("ssd"), seed=3)


def test_augmentation_depends_on_seed_epoch_and_index_alone(dataset: DetectionDataset) -> None:
    first = dataset[(1, 0)]
    torch.rand(7)
    dataset[(1, 1)]
    again = dataset[(1, 0)]
    assert torch.equal(first.image, again.image)
    assert same(first.target, again.target)


def test_two_epochs_differ_and_two_indices_and_two_seeds(dataset: DetectionDataset) -> None:
    """Also of equal images: no two workers repeat each other's chances."""
    samples = [dataset[key] for key in ((0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1))]
    dataset.seed = 4
    samples.append(dataset[(0, 0)])
    for index, one in enumerate(samples):
        assert not any(torch.equal(one.image, other.image) for other in samples[:index])


def test_augmentation_leaves_global_random_state_alone(dataset: DetectionDataset) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state(), pickle.dumps(np.random.get_state())  # noqa: NPY002
    for epoch in range(5):
        dataset[(epoch, 0)]
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == pickle.dumps(np.random.get_state())  # noqa: NPY002


def test_global_random_state_is_restored_after_an_error_too() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with pytest.raises(RuntimeError), seeded(1):
        torch.rand(2) @ torch.rand(3)
    assert torch.equal(torch.rand(3), expected)


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=3))
def test_a_key_gives_the_same_numbers_each_time(key: list[int]) -> None:
    found = []
    for _ in range(2):
        with seeded(*key):
            found.append(torch.rand(4))
    assert torch.equal(*found)
    with seeded(*key[:-1], key[-1] + 1):
        assert not torch.equal(torch.rand(4), found[0])
