"""A folder without validation data is split: a fifth, near duplicates together, and stable."""

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.formats.builders import voc_object, voc_xml
from tests.formats.layouts import (
    FLAT,
    NAMES,
    SPLIT,
    labelimg_voc,
    roboflow_voc,
    write_shot,
    yolo_without_yaml,
)
from vision.config import AutoSource, DataConfig, config_from_dict, name_data
from vision.data import read_sources, settle_splits
from vision.data.auto import read_auto
from vision.errors import ConfigError, DataError
from vision.formats import Annotations
from vision.images import read_image
from vision.media import write_image


def stems(annotations: Annotations) -> set[str]:
    return {Path(record.image_id).name.partition(".")[0] for record in annotations.records}


def sides(root: Path, seed: int = 0, val_below: float | None = None) -> tuple[set[str], set[str]]:
    """The images of train and of val, which are all and have none in common."""
    train, val = (stems(read_auto(str(root), one, seed, val_below)) for one in ("train", "val"))
    assert not train & val
    assert train | val == stems(read_auto(str(root), "all"))
    return train, val


def flat(root: Path, names: Sequence[str]) -> Path:
    labelimg_voc(root, {"all": names})
    return root


def numbered(count: int, prefix: str = "img") -> list[str]:
    return [f"{prefix}{row:03}" for row in range(count)]


def add_copies(root: Path, stem: str, count: int) -> None:
    """Near duplicates of an image: brighter and compressed, with its annotation."""
    for row in range(count):
        image = read_image(root / f"{stem}.jpg")
        path = root / f"{stem}_copy{row}.jpg"
        bright = np.clip(image.astype(int) + 5 * row + 5, 0, 255).astype(np.uint8)
        write_image(path, cv2.resize(bright, None, fx=2, fy=2))
        shutil.copy(root / f"{stem}.xml", path.with_suffix(".xml"))


def settled(root: Path, earlier: DataConfig | None = None) -> DataConfig:
    """The section that ``--data`` gives, as a run records it."""
    train, val = (AutoSource(format="auto", root=str(root), split=one) for one in ("train", "val"))
    return settle_splits(DataConfig(train=train, val=val), earlier)


def val_of(data: DataConfig) -> set[str]:
    return stems(read_sources(data.val, "data.val"))


def test_splits_that_are_there_are_taken_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    roboflow_voc(tmp_path, SPLIT)
    for split, names in SPLIT.items():
        assert stems(read_auto(str(tmp_path), split)) == set(names)
    assert caplog.messages == [
        f"{split}: split {split} of VOC's XML files in {tmp_path}" for split in SPLIT
    ]
    assert settled(tmp_path).val == AutoSource(format="auto", root=str(tmp_path), split="val")


@pytest.mark.parametrize(("count", "expected"), [(3, 1), (6, 2), (10, 3), (20, 4), (60, 12)])
def test_a_fifth_of_a_folder_becomes_val_and_at_least_a_few(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, count: int, expected: int
) -> None:
    caplog.set_level(logging.INFO)
    train, val = sides(flat(tmp_path, numbered(count)))
    assert (len(train), len(val)) == (count - expected, expected)
    assert caplog.messages[0] == (
        f"train: {count - expected} of {count} images of VOC's XML files in {tmp_path}, split by"
        " seed 0 as there is no val, near duplicates together"
    )


def test_the_seed_decides_and_a_copy_of_the_folder_is_split_alike(tmp_path: Path) -> None:
    first = sides(flat(tmp_path / "one", numbered(30)))
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    assert sides(tmp_path / "one") == first
    assert sides(tmp_path / "other") == first
    assert sides(tmp_path / "one", seed=1) != first


def test_a_folder_with_test_alone_beside_train_keeps_test_apart(tmp_path: Path) -> None:
    roboflow_voc(tmp_path, {"train": numbered(15), "test": numbered(5, "t")})
    train, val = (stems(read_auto(str(tmp_path), split)) for split in ("train", "val"))
    assert train | val == set(numbered(15))
    assert len(val) == 4


def test_near_duplicates_are_on_one_side(tmp_path: Path) -> None:
    flat(tmp_path, numbered(20))
    for stem in numbered(20)[::2]:
        add_copies(tmp_path, stem, 2)
    train, val = sides(tmp_path)
    assert 6 <= len(val) <= 10
    for side in (train, val):
        assert all(
            f"{name}_copy{row}" in side for name in side & set(numbered(20)[::2]) for row in (0, 1)
        )


def test_images_of_one_name_outside_the_folder_are_all_split(tmp_path: Path) -> None:
    """Each camera numbers its images from 0; a list beside ``data.yaml`` names their folders."""
    for camera in ("one", "two", "three"):
        yolo_without_yaml(tmp_path / camera, {"train": numbered(10)})
        for path in (tmp_path / camera / "images" / "train").iterdir():
            write_shot(path, f"{camera} {path.stem}")
    folders = [str(tmp_path / camera / "images" / "train") for camera in ("one", "two", "three")]
    data = tmp_path / "data" / "data.yaml"
    data.parent.mkdir()
    data.write_text(f"train: {json.dumps(folders)}\nnames: {json.dumps(NAMES)}\n")
    train, val = (read_auto(str(data), split).records for split in ("train", "val"))
    assert (len(train), len(val)) == (24, 6)


def test_a_large_group_is_train_and_the_smallest_of_large_ones_val(tmp_path: Path) -> None:
    flat(tmp_path, ["a0", "b0"])
    add_copies(tmp_path, "a0", 5)
    add_copies(tmp_path, "b0", 3)
    for seed in range(4):
        _, val = sides(tmp_path, seed)
        assert val == {"b0", "b0_copy0", "b0_copy1", "b0_copy2"}


def test_pictures_that_are_all_alike_are_split_one_by_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flat(tmp_path, ["a0"])
    add_copies(tmp_path, "a0", 9)
    assert len(sides(tmp_path)[1]) == 3
    assert "all images are near duplicates of each other" in caplog.messages[0]


@pytest.mark.parametrize("count", [12, 40])
def test_sides_stay_when_images_are_added(tmp_path: Path, count: int) -> None:
    flat(tmp_path, numbered(count))
    data = settled(tmp_path)
    assert isinstance(data.val, AutoSource)
    train, val = sides(tmp_path)
    assert val_of(data) == val
    flat(tmp_path, numbered(count, "new"))
    add_copies(tmp_path, min(val), 1)
    add_copies(tmp_path, min(train), 1)
    new_train, new_val = sides(tmp_path, val_below=data.val.val_below)
    assert train < new_train
    assert val < new_val
    assert f"{min(val)}_copy0" in new_val
    assert f"{min(train)}_copy0" in new_train
    resumed = settled(tmp_path, data)
    assert resumed == data
    assert val_of(resumed) == new_val


def test_a_class_with_one_image_is_trained(tmp_path: Path) -> None:
    flat(tmp_path, numbered(10))
    rare = voc_xml(voc_object("bird", (5, 5, 40, 40)), size=(60, 80))
    for stem in numbered(10):
        kept = (tmp_path / f"{stem}.xml").read_text(encoding="utf-8")
        (tmp_path / f"{stem}.xml").write_text(rare, encoding="utf-8")
        _, val = sides(tmp_path)
        assert stem not in val
        (tmp_path / f"{stem}.xml").write_text(kept, encoding="utf-8")


def test_classes_that_training_lacks_are_not_evaluated(tmp_path: Path) -> None:
    for row in range(6):
        write_shot(tmp_path / f"{row}.jpg", str(row))
        xml = voc_xml(voc_object(f"class{row}", (5, 5, 40, 40)), size=(60, 80))
        (tmp_path / f"{row}.xml").write_text(xml, encoding="utf-8")
    assert len(read_auto(str(tmp_path), "train").names) == 6
    assert len(read_auto(str(tmp_path), "val").names) == 5


def test_irregularities_are_counted_on_the_side_of_their_image(tmp_path: Path) -> None:
    flat(tmp_path, numbered(10))
    for stem in numbered(10):
        xml = voc_xml(voc_object("cat", (5, 5, 400, 40)), size=(60, 80))
        (tmp_path / f"{stem}.xml").write_text(xml, encoding="utf-8")
    counts = [
        read_auto(str(tmp_path), split).tally.counts["boxes clipped to the image"]
        for split in ("train", "val")
    ]
    assert counts == [7, 3]


def test_an_image_that_cannot_be_decoded_is_a_fault(tmp_path: Path) -> None:
    flat(tmp_path, numbered(10))
    path = tmp_path / "img003.png"
    write_shot(path, "img003")
    (tmp_path / "img003.jpg").unlink()
    path.write_bytes(path.read_bytes()[:60])  # The header says that it is an image.
    for split in ("train", "val"):
        found = read_auto(str(tmp_path), split)
        assert [fault.where for fault in found.faults] == [str(path)]
        assert "img003" not in stems(found)


@pytest.mark.parametrize(
    ("splits", "split", "message"),
    [
        (SPLIT, "holdout", "VOC's XML files in {root} has train and val and test, but no holdout"),
        ({"val": ["a0"]}, "train", "VOC's XML files in {root} has val, but no train; set split to"),
        ({"train": ["a0"]}, "train", "VOC's XML files in {root} has 1 image, too few to split i"),
    ],
)
def test_a_split_that_is_not_there_is_refused(
    tmp_path: Path, splits: dict[str, list[str]], split: str, message: str
) -> None:
    roboflow_voc(tmp_path, splits)
    with pytest.raises(DataError) as caught:
        read_auto(str(tmp_path), split)
    assert message.format(root=tmp_path) in str(caught.value)


def test_train_and_val_of_one_folder_have_one_seed(tmp_path: Path) -> None:
    source = {"format": "auto", "root": str(tmp_path)}
    data = {"train": {**source, "split": "train"}, "val": {**source, "split": "val", "seed": 1}}
    with pytest.raises(ConfigError, match="need the same seed"):
        config_from_dict({"data": data})
    other = {**source, "root": "other", "split": "train", "seed": 1}
    with pytest.raises(ConfigError, match="need the same seed"):
        config_from_dict({"data": {"train": [other, data["train"]], "val": [data["val"]]}})
    data["val"] = {**source, "root": "other", "split": "val", "seed": 1}
    config_from_dict({"data": data})


def test_a_folder_among_several_keeps_its_split(tmp_path: Path) -> None:
    data = settled(flat(tmp_path / "one", FLAT["all"]))
    assert isinstance(data.val, AutoSource)
    recorded = data.model_copy(update={"train": [settled(tmp_path / "one").train], "val": None})
    again = config_from_dict({}, name_data(tmp_path / "one", recorded)).data
    assert again.val == data.val
    assert data.val.val_below is not None


def test_another_root_is_split_again(tmp_path: Path) -> None:
    data = settled(flat(tmp_path / "one", FLAT["all"]))
    values = {"data": data.model_dump(mode="json")}
    changed = config_from_dict(values, ["data.val.root=other"]).data.val
    assert changed == AutoSource(format="auto", root="other", split="val")
