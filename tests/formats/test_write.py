"""Data sets written in one format and read again: nothing that the format can hold is lost."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.formats.builders import TURNED, record, write_image
from tests.shared import SHARED, needs_shared
from vision.choices import WRITTEN_FORMATS
from vision.data import read_synthetic
from vision.files import read_bytes
from vision.formats import AnnotatedObject, Annotations, Record, read_data, write_data

DOG = AnnotatedObject("dog", (10, 5, 30.25, 20))
CAR = AnnotatedObject("Größe & <größer>", (0, 0, 60, 40))
HARD = AnnotatedObject("dog", (1.5, 2, 4, 6.125), ignore=True)
CROWD = AnnotatedObject("cat", (3, 3, 9, 9), ignore=True, crowd=True, area=7.5)
WHOLE = ("coco", "webdataset")
"""Formats that hold crowds and areas."""
TINY = AnnotatedObject("dog", (5, 5, 5.75, 30))


def objects(one: Record, *, flags: bool, crowds: bool, areas: bool) -> list[tuple[object, ...]]:
    """All that a format can hold of an image's objects, to be compared exactly."""
    columns = zip(
        one.names, one.ignore.tolist(), one.crowd.tolist(), one.areas.tolist(), strict=True
    )
    return [
        (name, ignore and flags, crowd and crowds, round(area, 2) if areas else None)
        for name, ignore, crowd, area in columns
    ]


def check_equal(before: Annotations, after: Annotations, name: str) -> None:
    assert [fault.message for fault in after.faults] == []
    assert after.tally.lines() == []
    assert len(before.records) == len(after.records)
    holds = {"flags": name != "yolo", "crowds": name in WHOLE, "areas": name in WHOLE}
    for old, new in zip(before.records, after.records, strict=True):
        assert old.size == new.size
        kept = np.ones(len(old.boxes), bool)
        if name == "yolo":
            kept &= ~old.ignore
        if name == "voc":
            kept &= ((old.boxes[:, 2:] - old.boxes[:, :2]) > 1).all(axis=1)
        np.testing.assert_allclose(new.boxes, old.boxes[kept], atol=1e-3)
        old_objects = objects(old, **holds)
        assert objects(new, **holds) == [old_objects[index] for index in np.flatnonzero(kept)]
    used = {one for kept in after.records for one in kept.names}
    in_order = [one for one in before.names if one in used]
    expected = {"voc": sorted(used), "webdataset": in_order}
    assert after.names == expected.get(name, before.names)


def sample(folder: Path) -> Annotations:
    """Images in subfolders, one of them twice of one name, and all kinds of boxes."""
    data = Annotations(names=["zebra", "dog"])
    record(write_image(folder / "a" / "1.jpg"), DOG, CAR, into=data)
    record(write_image(folder / "b" / "1.jpg"), HARD, CROWD, DOG, into=data)
    record(write_image(folder / "b" / "1_2.png"), TINY, into=data)
    record(write_image(folder / "b" / "2.png"), into=data)
    return data


@pytest.mark.parametrize("name", WRITTEN_FORMATS)
def test_what_is_written_is_read_again(tmp_path: Path, name: str) -> None:
    before = sample(tmp_path / "images")
    lost = write_data(name, before, tmp_path / "out", "train")
    after = read_data(name, root=str(tmp_path / "out"), split="train")
    check_equal(before, after, name)
    for old, new in zip(before.records, after.records, strict=True):
        assert new.file is not None
        assert Path(old.image_id).read_bytes() == read_bytes(new.file)
    renamed = "images renamed because another image has the same name"
    expected = {
        "coco": {renamed: 2},
        "voc": {
            renamed: 2,
            "crowds written as difficult boxes": 1,
            "areas of masks left out": 1,
            "boxes of a pixel or less left out": 1,
            "classes without a box left out": 1,
        },
        "webdataset": {renamed: 2, "classes without a box left out": 1},
        "yolo": {renamed: 2, "ignored boxes (difficult or crowds) left out": 2},
    }
    assert lost.counts == expected[name]


@pytest.mark.parametrize("name", WRITTEN_FORMATS)
def test_a_photograph_whose_boxes_are_not_turned_stays_so(tmp_path: Path, name: str) -> None:
    """YOLO's files have no size, so that readers turn what EXIF turns."""
    path = write_image(tmp_path / "a.jpg", 40, 60, orientation=TURNED)
    before = Annotations()
    record(path, DOG, annotated_size=(40, 60), into=before)
    write_data(name, before, tmp_path / "out", "train")
    after = read_data(name, root=str(tmp_path / "out"), split="train")
    check_equal(before, after, name)
    np.testing.assert_array_equal(before.records[0].load(), after.records[0].load())


@pytest.mark.parametrize("name", WRITTEN_FORMATS)
def test_scenes_without_a_file_are_written_as_images(tmp_path: Path, name: str) -> None:
    before = read_synthetic(3, 0, (64, 96))
    write_data(name, before, tmp_path / "out", "val")
    after = read_data(name, root=str(tmp_path / "out"), split="val")
    check_equal(before, after, name)
    np.testing.assert_array_equal(before.records[1].load(), after.records[1].load())


@pytest.mark.parametrize("name", WRITTEN_FORMATS)
def test_several_splits_are_in_one_folder(tmp_path: Path, name: str) -> None:
    """Their images may have the same names."""
    splits = {"train": sample(tmp_path / "images"), "val": Annotations()}
    record(write_image(tmp_path / "other" / "1.jpg", 30, 50), DOG, into=splits["val"])
    splits["val"].names = splits["train"].names
    for split, data in splits.items():
        write_data(name, data, tmp_path / "out", split)
    for split, data in splits.items():
        after = read_data(name, root=str(tmp_path / "out"), split=split)
        check_equal(data, after, name)
        for old, new in zip(data.records, after.records, strict=True):
            assert new.file is not None
            assert Path(old.image_id).read_bytes() == read_bytes(new.file)


@cache
def read_shared(source: str, data: str, split: str) -> Annotations:
    annotations = read_data(source, root=str(SHARED / "data" / data), split=split)
    step = -(-len(annotations.records) // 100)
    return replace(annotations, records=annotations.records[::step])


@needs_shared
@pytest.mark.slow
@pytest.mark.parametrize("name", WRITTEN_FORMATS)
@pytest.mark.parametrize(
    ("source", "data"),
    [("voc", "bccd"), ("voc", "voc07"), ("voc", "cards"), ("coco", "coco_mini")],
)
def test_real_data_round_trip(tmp_path: Path, name: str, source: str, data: str) -> None:
    """Of a hundred images evenly chosen: `tests.formats.test_voc` reads all."""
    for split in ("train", "val"):
        before = read_shared(source, data, split)
        write_data(name, before, tmp_path, split)
        check_equal(before, read_data(name, root=str(tmp_path), split=split), name)
