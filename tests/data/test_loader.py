"""Batches: all images, in an order that the seed decides, whatever the number of workers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tests.formats.builders import record, write_image
from vision.data import (
    PRESETS,
    Augment,
    DetectionDataset,
    EpochSampler,
    Sample,
    collate,
    make_loader,
    read_synthetic,
)
from vision.errors import DataError
from vision.formats import AnnotatedObject
from vision.images import resize
from vision.structures import Batch

SIZE = (32, 24)


def make_dataset(folder: Path, length: int, augment: Augment | None = None) -> DetectionDataset:
    """Images of several sizes; each second one without objects."""
    records = []
    for index in range(length):
        path = write_image(folder / f"{index}.png", 40 + index, 60)
        objects = [AnnotatedObject("ab"[index % 4 // 2], (10, 5, 30, 20 + index), area=7.5)]
        records.append(record(path, *objects[: index % 2]))
    return DetectionDataset(records, ["a", "b"], SIZE, augment, seed=1)


def batches(loader: DataLoader[Sample]) -> list[Batch]:
    found = []
    for batch in loader:
        assert isinstance(batch, Batch)
        found.append(batch)
    return found


def image_ids(found: list[Batch]) -> list[str]:
    return [Path(str(target.image_id)).stem for batch in found for target in batch.targets]


# Samples


def test_a_sample_is_the_image_resized_and_the_target_in_its_own_pixels(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, 2)
    empty, sample = dataset[0], dataset[1]
    assert len(dataset) == 2
    assert (len(empty.target), len(sample.target)) == (0, 1)
    assert sample.image.dtype == torch.uint8
    assert sample.target.size == (41, 60)
    assert sample.target.boxes.tolist() == [[10, 5, 30, 21]]
    assert sample.target.areas.tolist() == [7.5]
    expected = resize(dataset.records[1].read(), SIZE)
    assert np.array_equal(sample.image.numpy(), expected)
    assert dataset.targets[1] is sample.target


@pytest.mark.parametrize(
    ("names", "classes", "labels"),
    [
        (["a", "b"], None, [[], [0], [], [1]]),
        (["b", "a"], None, [[], [1], [], [0]]),
        (["b"], None, [[], [], [], [0]]),
        (["a", "b"], ["b"], [[], [], [], [1]]),
        (["a", "b"], ["c"], [[], [], [], []]),
    ],
)
def test_labels_follow_the_names_and_classes_restrict_them(
    tmp_path: Path, names: list[str], classes: list[str] | None, labels: list[list[int]]
) -> None:
    records = make_dataset(tmp_path, 4).records
    dataset = DetectionDataset(records, names, SIZE, classes=classes)
    assert [dataset[index].target.labels.tolist() for index in range(4)] == labels


# Order


@pytest.mark.parametrize("length", [0, 2, 50])
def test_each_epoch_is_a_permutation(length: int) -> None:
    sampler = EpochSampler(length, 2, seed=3)
    orders = []
    for epoch in range(3):
        sampler.epoch = epoch
        keys = [key for batch in sampler for key in batch]
        assert {key[0] for key in keys} <= {epoch}
        orders.append([key[1] for key in keys])
        assert sorted(orders[-1]) == list(range(length))
        assert len(sampler) == length // 2
    if length == 50:
        assert orders[0] != orders[1] != orders[2] != orders[0] != list(range(length))


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    sampler = EpochSampler(20, 4, seed=3)
    first = list(sampler)
    torch.rand(5)
    assert list(sampler) == first == list(EpochSampler(20, 4, seed=3))
    assert list(EpochSampler(20, 4, seed=4)) != first


def test_the_order_leaves_global_randomness_alone() -> None:
    state = torch.get_rng_state()
    list(EpochSampler(20, 4, seed=3))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("length", "in_training", "in_evaluation"),
    [
        (2, [2], [2]),
        (4, [4], [4]),
        (5, [4], [4, 1]),
        (6, [4, 2], [4, 2]),
        (9, [4, 4], [4, 4, 1]),
    ],
)
def test_a_last_batch_of_one_image_is_left_out_in_training_only(
    tmp_path: Path, length: int, in_training: list[int], in_evaluation: list[int]
) -> None:
    """BatchNorm cannot normalise the last map of one image: a frequent crash at an epoch's end."""
    dataset = make_dataset(tmp_path, length)
    sampler = EpochSampler(length, 4, seed=0)
    training, evaluation = make_loader(dataset, sampler, 0), make_loader(dataset, 4, 0)
    assert [len(batch.targets) for batch in batches(training)] == in_training
    assert [len(batch.targets) for batch in batches(evaluation)] == in_evaluation
    assert (len(training), len(evaluation)) == (len(in_training), len(in_evaluation))


def test_evaluation_sees_all_images_in_their_order(tmp_path: Path) -> None:
    loader = make_loader(make_dataset(tmp_path, 9), 4, 0)
    assert image_ids(batches(loader)) == [str(index) for index in range(9)]


def test_training_sees_all_images_over_the_epochs(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, 6)
    sampler = EpochSampler(6, 4, seed=0)
    loader = make_loader(dataset, sampler, 0)
    assert sorted(image_ids(batches(loader))) == [str(index) for index in range(6)]
    dataset = make_dataset(tmp_path, 5)
    sampler = EpochSampler(5, 4, seed=0)
    loader = make_loader(dataset, sampler, 0)
    seen = set()
    for epoch in range(12):
        sampler.epoch = epoch
        seen |= set(image_ids(batches(loader)))
    assert seen == {str(index) for index in range(5)}


def test_an_interrupted_epoch_goes_on_with_the_batches_left() -> None:
    sampler = EpochSampler(22, 4, seed=3)
    full = list(sampler)
    assert [len(batch) for batch in full] == sampler.sizes() == [4, 4, 4, 4, 4, 2]
    for start in range(len(full) + 1):
        sampler.start = start
        assert list(sampler) == full[start:]
        assert len(sampler) == 6


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("length", [24, 30, 35])
def test_processes_share_out_each_batch(length: int, world_size: int) -> None:
    full = list(EpochSampler(length, 12, seed=3, num_parts=world_size))
    by_rank = [
        list(EpochSampler(length, 12, 3, rank=r, world_size=world_size, num_parts=world_size))
        for r in range(world_size)
    ]
    for number, batch in enumerate(full):
        parts = [own[number] for own in by_rank]
        assert sorted(key for part in parts for key in part) == sorted(batch)
        assert all(len(part) >= 2 for part in parts)
    assert {len(own) for own in by_rank} == {len(full)}
    assert length - sum(map(len, full)) < 2 * world_size


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_evaluate_every_image_once(tmp_path: Path, world_size: int) -> None:
    dataset = make_dataset(tmp_path, 8)
    loaders = [
        make_loader(dataset, 2, 0, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    by_rank = [image_ids(batches(loader)) for loader in loaders]
    assert [own[0] for own in by_rank] == [str(rank) for rank in range(world_size)]
    assert sorted(name for own in by_rank for name in own) == [str(k) for k in range(8)]


# Batches


def test_images_of_a_batch_lie_channels_last_in_memory(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, 3)
    (batch,) = batches(make_loader(dataset, 4, 0))
    assert batch.images.dtype == torch.uint8
    assert tuple(batch.images.shape) == (3, 3, *SIZE)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    for index, image in enumerate(batch.images):
        assert torch.equal(image.permute(1, 2, 0), dataset[index].image)


def test_collating_one_sample(tmp_path: Path) -> None:
    sample = make_dataset(tmp_path, 2)[1]
    batch = collate([sample])
    assert tuple(batch.images.shape) == (1, 3, *SIZE)
    assert list(batch.targets) == [sample.target]


def test_batches_are_the_same_whatever_the_number_of_workers() -> None:
    """Two epochs, augmented; elsewhere workers repeat each other's chances."""
    records = read_synthetic(9, 0, (64, 64)).records
    names = sorted({name for record in records for name in record.names})
    found = []
    for workers in (0, 1, 2):
        dataset = DetectionDataset(records, names, SIZE, PRESETS["ssd"], seed=1)
        sampler = EpochSampler(len(dataset), 4, seed=1)
        loader = make_loader(dataset, sampler, workers)
        epochs = []
        for epoch in range(2):
            sampler.epoch = epoch
            epochs += batches(loader)
        found.append(epochs)
    assert len(found[0]) == 4
    for other in found[1:]:
        assert image_ids(other) == image_ids(found[0])
        for one, two in zip(other, found[0], strict=True):
            assert torch.equal(one.images, two.images)
            assert one.images.is_contiguous(memory_format=torch.channels_last)
            for first, second in zip(one.targets, two.targets, strict=True):
                assert first.size == second.size
                for name in ("boxes", "labels", "ignore", "crowd", "areas"):
                    assert torch.equal(getattr(first, name), getattr(second, name))
    assert not torch.equal(found[0][0].images, found[0][2].images)


# What goes wrong


def spoil(path: str, how: str) -> None:
    match how:
        case "removed":
            Path(path).unlink()
        case "cut off":
            Path(path).write_bytes(Path(path).read_bytes()[:100])
        case "resized":
            write_image(Path(path), 9, 11)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("removed", "image {path} cannot be opened: No such file or directory"),
        ("cut off", "image {path} cannot be decoded: it is empty, truncated or not an image"),
        ("resized", r"image {path} has the size \(9, 11\), not \(41, 60\) as when the data were"),
    ],
)
def test_an_image_that_changed_is_an_error_of_one_line(tmp_path: Path, how: str, said: str) -> None:
    dataset = make_dataset(tmp_path, 2)
    path = dataset.records[1].image_id
    spoil(path, how)
    with pytest.raises(DataError, match="^" + said.format(path=path)) as caught:
        dataset[1]
    assert "\n" not in str(caught.value)
    assert len(dataset[0].target) == 0


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_in_a_worker_reaches_the_caller_as_it_is(tmp_path: Path, workers: int) -> None:
    """`DataLoader` would raise it with the traceback of the worker as its message."""
    dataset = make_dataset(tmp_path, 4)
    path = dataset.records[2].image_id
    spoil(path, "removed")
    loader = make_loader(dataset, 2, workers)
    found = iter(loader)
    assert next(found) is not None
    with pytest.raises(DataError) as caught:
        next(found)
    assert str(caught.value) == f"image {path} cannot be opened: No such file or directory"


LEFT_OPEN = """
import signal
from vision.data import DetectionDataset, make_loader, read_synthetic

records = read_synthetic(8, 0, (32, 32)).records
names = sorted({name for record in records for name in record.names})
found = iter(make_loader(DetectionDataset(records, names, (32, 32)), 2, workers=1))
next(found)
signal.kept = found
"""
"""A module of Python's outlives ours: the workers are still there as the process ends."""


@pytest.mark.slow
def test_workers_left_open_do_not_keep_a_process_from_ending() -> None:
    """Python ends them with SIGTERM, and waits."""
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", LEFT_OPEN], capture_output=True, text=True, timeout=100, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
