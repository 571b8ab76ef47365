"""Augmentation: boxes go where their pixels go, and randomness depends on nothing but its seed."""

import pickle
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import UInt8
from numpy import ndarray
from torchvision import tv_tensors
from torchvision.transforms import v2

from tests.formats.builders import picture, record, stripes, write_image
from vision.config import AugmentConfig
from vision.data import PRESETS, AugmentPreset, DetectionDataset
from vision.data.transforms import FILL, TRIES, Window, iou_crop
from vision.formats import AnnotatedObject
from vision.structures import Target

AUGMENTING = list(PRESETS)


def augmented(
    augment: AugmentPreset,
    image: UInt8[ndarray, "h w 3"],
    target: Target,
    seed: int,
    size: tuple[int, int] | None = None,
) -> tuple[UInt8[ndarray, "H W 3"], Target]:
    """Augmented, and resized to ``size``, by default the image's own."""
    return augment(image, target, size or target.size, np.random.default_rng(seed))


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


# Any preset


SIZES = st.tuples(st.integers(1, 60), st.integers(1, 60))


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


def same(first: Target, second: Target) -> bool:
    names = ("boxes", "labels", "ignore", "crowd", "areas")
    equal = all(torch.equal(getattr(first, name), getattr(second, name)) for name in names)
    return equal and first.size == second.size and first.image_id == second.image_id


@settings(max_examples=100)
@given(scenes(), st.sampled_from(AUGMENTING), SIZES, st.integers(0, 2**32))
def test_what_comes_out_is_an_image_with_sound_boxes(
    scene: tuple[UInt8[ndarray, "h w 3"], Target], name: str, size: tuple[int, int], seed: int
) -> None:
    image, target = scene
    before = image.copy(), pickle.loads(pickle.dumps(target))  # noqa: S301
    changed, moved = augmented(PRESETS[name], image, target, seed, size)
    assert changed.dtype == np.uint8
    assert changed.shape == (*size, 3) == (*moved.size, 3)
    assert changed.flags["C_CONTIGUOUS"]
    assert changed.flags["WRITEABLE"]
    assert len(moved) == len(moved.labels) == len(moved.ignore) == len(moved.crowd)
    assert (moved.boxes[:, :2] >= 0).all()
    assert (moved.boxes[:, 2:] <= torch.tensor([size[1], size[0]])).all()
    assert (moved.boxes[:, 2:] > moved.boxes[:, :2]).all()
    assert len(target) == 0 or len(moved) > 0
    # Flags keep to their labels, and what came in is as it was, for the next epoch.
    assert moved.ignore.tolist() == [label % 2 == 1 for label in moved.labels.tolist()]
    assert moved.crowd.tolist() == [label % 4 == 3 for label in moved.labels.tolist()]
    assert np.array_equal(image, before[0])
    assert same(target, before[1])


def test_a_flip_moves_a_box() -> None:
    image, target = stripes(20, 50), target_of([[10, 5, 30, 20], [0, 0, 1, 2]], (20, 50))
    outcomes = [augmented(AugmentPreset(flip=True), image, target, seed) for seed in range(20)]
    flips = [not np.array_equal(changed, image) for changed, _ in outcomes]
    assert 4 < sum(flips) < 16
    for is_flipped, (changed, moved) in zip(flips, outcomes, strict=True):
        assert np.array_equal(changed, image[:, ::-1] if is_flipped else image)
        flipped = [[20, 5, 40, 20], [49, 0, 50, 2]]
        assert moved.boxes.tolist() == (flipped if is_flipped else target.boxes.tolist())
        assert (moved.image_id, moved.size) == ("an image", (20, 50))


@pytest.mark.parametrize("zoom_out", [False, True])
def test_boxes_labels_and_flags_stay_with_their_pixels(*, zoom_out: bool) -> None:
    """Each object is painted in a colour of its label, which fills its box but for the border."""
    size, shown = (90, 120), (100, 100)
    places = [[x, y, x + 20, y + 15] for y in (5, 35, 65) for x in (5, 35, 65, 95)]
    target = target_of([[float(side) for side in place] for place in places], size)
    image = np.zeros((*size, 3), np.uint8)
    for label, (x0, y0, x1, y1) in enumerate(places):
        image[y0:y1, x0:x1] = 200 + label
    counts = set()
    for seed in range(40):
        augment = AugmentPreset(zoom_out=zoom_out, crop=True, flip=True)
        changed, moved = augmented(augment, image, target, seed, shown)
        counts.add(len(moved))
        middles = changed[..., 0] > 100
        for box, label in zip(moved.boxes.tolist(), moved.labels.tolist(), strict=True):
            x0, y0, x1, y1 = box
            inner = changed[round(y0) + 3 : round(y1) - 3, round(x0) + 3 : round(x1) - 3]
            assert (inner == 200 + label).all()
            # More than half bright is inside: a box's edge lies within a pixel of the paint's.
            row, column = round((y0 + y1) / 2), round((x0 + x1) / 2)
            if min(x0, y0) > 0 and max(x1, y1) < 100 and min(x1 - x0, y1 - y0) > 8:
                across, along = middles[row], middles[:, column]
                assert across[round(x0) + 1 : round(x1) - 1].all()
                assert along[round(y0) + 1 : round(y1) - 1].all()
                assert not across[max(0, round(x0) - 2)]
                assert not along[max(0, round(y0) - 2)]
        assert moved.ignore.tolist() == [label % 2 == 1 for label in moved.labels.tolist()]
    assert max(counts) == 12
    assert len(counts) > 3


@pytest.mark.parametrize("name", AUGMENTING)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 3), (4, 4)])
def test_images_of_a_few_pixels_pass(name: str, size: tuple[int, int]) -> None:
    """SSD's crop would cut an image down to none of its pixels."""
    image, target = picture(*size), target_of([[0, 0, size[1], size[0]]], size)
    for seed in range(20):
        changed, moved = augmented(PRESETS[name], image, target, seed)
        assert changed.shape[:2] == size
        assert len(moved) == 1


def test_images_without_objects_pass_without_a_search_for_a_crop() -> None:
    """Of hundreds of crops none would hold an object."""
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    window = Window(0, 0, 50, 30)
    assert iou_crop(window, np.zeros((0, 4), np.float32), rng) is window
    assert rng.bit_generator.state == before


def test_presets() -> None:
    assert ["none", *PRESETS] == list(get_args(AugmentConfig.model_fields["preset"].annotation))


@pytest.mark.parametrize(("name", "brightest"), [("photometric", {0}), ("ssd", {0, 1, 2})])
def test_colours_change_places_in_the_preset_ssd_alone(name: str, brightest: set[int]) -> None:
    image, target = np.full((20, 30, 3), (200, 60, 40), np.uint8), target_of([], (20, 30))
    changed = [augmented(PRESETS[name], image, target, seed)[0] for seed in range(60)]
    assert {int(one.mean((0, 1)).argmax()) for one in changed} == brightest


def test_zooming_out_lays_the_image_on_grey() -> None:
    image, target = np.zeros((20, 30, 3), np.uint8), target_of([[0, 0, 30, 20]], (20, 30))
    zoomed = 0
    for seed in range(10):
        changed, moved = augmented(AugmentPreset(zoom_out=True), image, target, seed, (100, 150))
        x0, y0, x1, y1 = map(int, moved.boxes[0].tolist())
        assert [x0, y0, x1, y1] == moved.boxes[0].tolist()
        assert (changed[y0:y1, x0:x1] == 0).all()
        changed[y0:y1, x0:x1] = FILL
        assert (changed == FILL).all()
        zoomed += (x1 - x0, y1 - y0) != (150, 100)
    assert 1 < zoomed < 9


# The crop and the distribution, by torchvision's transforms


class Tape(np.random.Generator):
    """The same random numbers for `iou_crop`, all at once, and for torchvision's, one by one."""

    def __init__(self, seed: int) -> None:
        super().__init__(np.random.PCG64(seed))
        self.size = (0, 0)

    def integers(self, high: int) -> int:  # type: ignore[override]
        """Draw the numbers of the next tries, and which overlap they need."""
        self.numbers = super().random((2, TRIES, 2)).astype(np.float32)
        self.turn, self.is_place = -1, False
        return int(super().integers(high))

    def random(self, shape: tuple[int, ...]) -> ndarray:  # type: ignore[override]
        """The numbers of all tries."""
        assert shape == self.numbers.shape
        return self.numbers

    def randint(self, *, low: int, high: int, size: tuple[int, ...]) -> torch.Tensor:
        """As torch's."""
        return torch.full(size, low + self.integers(high))

    def rand(self, _: int) -> torch.Tensor:
        """The size of the next crop; or its place, which is asked for if its aspect is right."""
        if self.is_place:
            self.is_place = False
            return torch.from_numpy(self.numbers[1, self.turn])
        self.turn += 1
        width, height = (
            int(side * (0.3 + 0.7 * torch.from_numpy(self.numbers[0, self.turn])[axis]))
            for axis, side in enumerate(self.size)
        )
        self.is_place = 0.5 <= width / height <= 2
        return torch.from_numpy(self.numbers[0, self.turn])


@pytest.mark.parametrize("seed", range(20))
def test_the_crop_is_torchvisions_of_the_same_random_numbers(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(40, 500, 2).tolist()
    corners = rng.random((rng.integers(1, 6), 2, 2)) * [width, height]
    boxes = np.concatenate([corners.min(1), corners.max(1) + 1], axis=1).astype(np.float32)
    tape, other = Tape(seed), Tape(seed)
    other.size = (width, height)
    monkeypatch.setattr(torch, "randint", other.randint)
    monkeypatch.setattr(torch, "rand", other.rand)
    box_tensor = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(height, width))
    expected = v2.RandomIoUCrop().make_params([box_tensor])
    full = Window(7, -5, width, height)  # The window may lie anywhere.
    found = iou_crop(full, boxes + np.array([7, -5, 7, -5], np.float32), tape)
    if expected:
        sides = expected["width"], expected["height"]
        assert found == (expected["left"] + 7, expected["top"] - 5, *sides)
    else:
        assert found is full


def ks_distance(first: list[float], second: list[float]) -> float:
    """The Kolmogorov-Smirnov distance of two samples, in units of its standard for equal ones."""
    one, two = np.sort(first), np.sort(second)
    points = np.concatenate([one, two])
    gaps = np.searchsorted(one, points, "right") / len(one)
    gaps -= np.searchsorted(two, points, "right") / len(two)
    return float(np.abs(gaps).max() * (len(one) * len(two) / (len(one) + len(two))) ** 0.5)


Measures = dict[str, list[float]]


def measure(found: Measures, image: ndarray, boxes: ndarray, labels: list[int]) -> None:
    """Add what the network sees: the objects kept and their boxes, and the means of the colours."""
    values = {"objects": float(len(labels)), "red": image[..., 0].mean()}
    values["green"] = image[..., 1].mean()
    for label, box in zip(labels, boxes, strict=True):
        values |= {f"{label}, side {side}": value for side, value in enumerate(box.tolist())}
    for name, value in values.items():
        found.setdefault(name, []).append(round(float(value), 2))


@pytest.mark.parametrize("zoom_out", [False, True])
@pytest.mark.slow
def test_the_distribution_is_that_of_torchvisions_transforms(*, zoom_out: bool) -> None:
    """Of what the network sees, after resizing; 2.2 is passed by one distance in 8,000."""
    size, draws = (120, 160), 400
    image = stripes(*size)
    target = target_of([[10, 10, 50, 40], [20, 10, 150, 115], [5, 70, 20, 90]], size)
    augment = AugmentPreset(zoom_out=zoom_out, crop=True, flip=True)
    zoom = [v2.RandomZoomOut(fill={tv_tensors.Image: list(FILL)})] if zoom_out else []
    steps = [*zoom, v2.RandomIoUCrop(), v2.RandomHorizontalFlip(), v2.SanitizeBoundingBoxes()]
    theirs = v2.Compose([*steps, v2.Resize([64, 64], antialias=True)])
    ours_found, theirs_found = Measures(), Measures()
    torch.manual_seed(0)
    for seed in range(draws):
        changed, moved = augmented(augment, image, target, seed, (64, 64))
        measure(ours_found, changed, moved.boxes.numpy(), moved.labels.tolist())
        boxes = tv_tensors.BoundingBoxes(target.boxes, format="XYXY", canvas_size=size)
        pixels = tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1))
        sample = theirs({"image": pixels, "boxes": boxes, "labels": target.labels})
        seen = sample["image"].permute(1, 2, 0).numpy()
        measure(theirs_found, seen, sample["boxes"].numpy(), sample["labels"].tolist())
    assert ours_found.keys() == theirs_found.keys()
    assert len(ours_found) == 15
    for name, values in ours_found.items():
        assert ks_distance(values, theirs_found[name]) < 2.2, name
        spread = (2 * draws * 0.25) ** 0.5
        assert abs(len(values) - len(theirs_found[name])) < 4 * spread, name


# Chance


@pytest.fixture
def dataset(tmp_path: Path) -> DetectionDataset:
    """Two equal images with the same object."""
    item = AnnotatedObject("a", (10, 5, 30, 20))
    records = [record(write_image(tmp_path / f"{index}.png"), item) for index in range(2)]
    return DetectionDataset(records, ["a"], (24, 32), PRESETS["ssd"], seed=3)


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
