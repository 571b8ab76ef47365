"""YOLO folders as tools write them."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.formats.builders import write_image
from vision.errors import DataError
from vision.formats import Annotations
from vision.formats.yolo import read_yolo

ROW = "1 0.5 0.5 0.5 0.25"
BOX = [15, 15, 45, 25]  # of an image of 40 by 60


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Files by their paths: images of 40 by 60 and texts."""
    for name, text in files.items():
        if name.endswith((".jpg", ".png")):
            write_image(root / name)
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
    return root


def boxes(found: Annotations) -> dict[str, list[list[float]]]:
    assert found.faults == []
    return {
        Path(record.image_id).name: np.round(record.boxes, 3).tolist() for record in found.records
    }


LAYOUTS: dict[str, dict[str, str]] = {
    "Ultralytics": {
        "data.yaml": "path: ../datasets/mine\ntrain: images/train\nval: images/val\n"
        "names:\n  0: cat\n  1: no\n",
        "images/train/a.jpg": "",
        "images/train/b.jpg": "",
        "images/val/c.jpg": "",
        "labels/train/a.txt": ROW,
    },
    "Roboflow": {
        "data.yaml": "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['cat', 'no']\n",
        "train/images/a.jpg": "",
        "train/images/b.jpg": "",
        "train/labels/a.txt": ROW,
        "valid/images/c.jpg": "",
    },
    "folders of a notebook": {
        "data.yaml": "train: /content/drive/train/images\nval: C:\\me\\valid\\images\n"
        "names: [cat, no]\n",
        "train/images/a.jpg": "",
        "train/images/b.jpg": "",
        "train/labels/a.txt": ROW,
        "valid/images/c.jpg": "",
    },
    "without data.yaml": {
        "classes.txt": "cat\nno\n",
        "train/images/a.jpg": "",
        "train/images/b.jpg": "",
        "train/labels/a.txt": ROW,
        "valid/images/c.jpg": "",
    },
    "CVAT's Darknet": {
        "obj.data": "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\n"
        "names = data/obj.names\nbackup = backup/\n",
        "obj.names": "cat\nno\n",
        "train.txt": "data/obj_train_data/deep/a.jpg\ndata/obj_train_data/b.jpg\n",
        "valid.txt": "data/obj_valid_data/c.jpg\n",
        "obj_train_data/deep/a.jpg": "",
        "obj_train_data/deep/a.txt": ROW,
        "obj_train_data/b.jpg": "",
        "obj_train_data/b.txt": "",
        "obj_valid_data/c.jpg": "",
    },
    "CVAT's Ultralytics": {
        "data.yaml": "path: ./\ntrain: train.txt\nval: val.txt\nnames: {0: cat, 1: 'no'}\n",
        "train.txt": "data/images/train/a.jpg\ndata/images/train/b.jpg\n",
        "val.txt": "data/images/val/c.jpg\n",
        "images/train/a.jpg": "",
        "images/train/b.jpg": "",
        "images/val/c.jpg": "",
        "labels/train/a.txt": ROW,
    },
    "several folders": {
        "mine.yml": "train: [one, two]\nval: three\nnames: [cat, no]\n",
        "one/a.jpg": "",
        "one/a.txt": ROW,
        "two/b.jpg": "",
        "three/c.jpg": "",
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_with_splits(tmp_path: Path, layout: str) -> None:
    """An image without a text file, or with an empty one, shows background."""
    root = write(tmp_path, LAYOUTS[layout])
    train = read_yolo(str(root), "train")
    assert boxes(train) == {"a.jpg": [BOX], "b.jpg": []}
    assert train.records[0].names == ("no",)
    assert train.names == ["cat", "no"]
    assert train.tally.lines() == []
    assert boxes(read_yolo(str(root), "val")) == {"c.jpg": []}


@pytest.mark.parametrize(
    "files",
    [
        # LabelImg, and Label Studio with its uploaded names
        {"a.jpg": "", "a.txt": ROW, "b.png": "", "classes.txt": "cat\nno\n"},
        {
            "images/a.jpg": "",
            "images/b.png": "",
            "labels/a.txt": ROW,
            "notes.json": '{"categories": [{"id": 1, "name": "no"}, {"id": 0, "name": "cat"}]}',
        },
        {"images/a.jpg": "", "images/b.png": "", "labels/a.txt": ROW, "classes.txt": "cat\nno"},
        {
            "images/a.jpg": "",
            "images/b.png": "",
            "labels/a.txt": ROW,
            "labels/classes.txt": "cat\nno",
        },
    ],
)
def test_layouts_without_splits(tmp_path: Path, files: dict[str, str]) -> None:
    found = read_yolo(str(write(tmp_path, files)))
    assert boxes(found) == {"a.jpg": [BOX], "b.png": []}
    assert found.names == ["cat", "no"]


def test_without_names_classes_are_called_by_number(tmp_path: Path) -> None:
    found = read_yolo(str(write(tmp_path, {"a.jpg": "", "a.txt": "2 .5 .5 .1 .1\n0 .5 .5 .1 .1"})))
    assert found.names == ["0", "1", "2"]
    assert found.records[0].names == ("2", "0")
    assert "without names of classes" in found.tally.lines()[0]


def test_the_file_of_the_data_may_be_named(tmp_path: Path) -> None:
    write(tmp_path, LAYOUTS["Ultralytics"])
    assert len(read_yolo(str(tmp_path / "data.yaml"), "train").records) == 2


@pytest.mark.parametrize(
    ("text", "box", "kinds"),
    [
        ("0 .5 .5 1 1", [0, 0, 60, 40], []),
        ("0 .5 .5 .5 .25\n\n", BOX, []),
        ("0.0 5e-1 .5 .5 .25", BOX, []),
        ("0 .25 .375 .75 .375 .5 .625", BOX, ["polygons turned into their boxes"]),
        (
            "0 .25 .375 .75 .375 .75 .625 .25 .625",
            BOX,
            ["polygons turned into their boxes"],
        ),
        ("0 1 .5 .5 .25", [45, 15, 60, 25], ["boxes clipped to the image"]),
        ("0 .5 .5 -.5 .25", BOX, ["boxes whose corners were swapped"]),
        ("0 .5 .5 0 .25", None, ["boxes without area dropped"]),
    ],
)
def test_rows(tmp_path: Path, text: str, box: list[float] | None, kinds: list[str]) -> None:
    found = read_yolo(str(write(tmp_path, {"a.jpg": "", "a.txt": text})))
    assert boxes(found) == {"a.jpg": [] if box is None else [box]}
    del found.tally.places["data without names of classes, which are called by number"]
    assert list(found.tally.places) == kinds


def test_key_points_are_no_polygon(tmp_path: Path) -> None:
    files = {
        "data.yaml": "train: .\nnames: [cat]\nkpt_shape: [2, 3]\n",
        "a.jpg": "",
        "a.txt": "0 .5 .5 .5 .25 .1 .1 2 .9 .9 2",
    }
    assert boxes(read_yolo(str(write(tmp_path, files)), "train")) == {"a.jpg": [BOX]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cat .5 .5 .1 .1", "a.txt:1: expected numbers, found cat .5 .5 .1 .1"),
        ("0 .5 .5 .1 .1\n5 .5 .5 .1 .1", "a.txt:2: class 5 has no name; there are 2 names, num"),
        ("-1 .5 .5 .1 .1", "a.txt:1: expected a class number (0, 1, ...), found"),
        ("0.5 .5 .5 .1 .1", "a.txt:1: expected a class number (0, 1, ...), found"),
        ("0 .5 .5 .1", "a.txt:1: expected class, x, y, width, height, or a class and a polygon"),
        ("0 .5 .5 .1 .1 .9", "found 6 numbers"),
        ("0 320 200 50 80", "a.txt:1: expected fractions of the image's sides, not pixels: 320"),
    ],
)
def test_rows_that_cannot_be_understood_are_faults(tmp_path: Path, text: str, said: str) -> None:
    files = {"classes.txt": "cat\ndog\n", "a.jpg": "", "a.txt": text, "b.jpg": ""}
    found = read_yolo(str(write(tmp_path, files)))
    assert [Path(record.image_id).name for record in found.records] == ["b.jpg"]
    (fault,) = found.faults
    assert (fault.kind, fault.where) == ("invalid annotation", str(tmp_path / "a.txt"))
    assert said in fault.message


def test_numbers_that_begin_at_1_are_refused(tmp_path: Path) -> None:
    """As faults of single files, repaired by leaving these out, the others would be misnamed."""
    files = {"classes.txt": "cat\ndog\n", "a.jpg": "", "a.txt": "2 .5 .5 .1 .1\n", "b.jpg": ""}
    write(tmp_path, {**files, "b.txt": "1 .5 .5 .1 .1\n"})
    assert [fault.where for fault in read_yolo(str(tmp_path)).faults] == [str(tmp_path / "a.txt")]
    write(tmp_path, {"b.txt": "1 .5 .5 .1 .1\n2 .5 .5 .1 .1\n"})
    with pytest.raises(
        DataError,
        match=r"class numbers must begin at 0, but there are rows of class 2.* subtract 1",
    ):
        read_yolo(str(tmp_path))


def test_lists_of_classes_beside_the_images_must_agree(tmp_path: Path) -> None:
    write(tmp_path, {"a/1.jpg": "", "a/classes.txt": "cat\n", ".trash/classes.txt": "owl\n"})
    write(tmp_path, {"b/c/classes.txt": "cat\ndog\n"})
    assert read_yolo(str(tmp_path)).names == ["cat", "dog"]
    write(tmp_path, {"b/classes.txt": "dog\ncat\n"})
    with pytest.raises(
        DataError, match=r"a/classes.txt and .*b/classes.txt list different classes"
    ):
        read_yolo(str(tmp_path))
    write(tmp_path, {"labels/classes.txt": "dog\n"})
    assert read_yolo(str(tmp_path)).names == ["dog"]


def test_images_in_a_format_that_is_not_read_are_counted(tmp_path: Path) -> None:
    write(tmp_path, {"a.jpg": "", "b.heic": "", "c.HEIC": "", "notes.txt": "x"})
    found = read_yolo(str(tmp_path))
    assert list(boxes(found)) == ["a.jpg"]
    places = found.tally.places["images left out, as .heic files are not read"]
    assert [Path(place).name for place in places] == ["b.heic", "c.HEIC"]
    (tmp_path / "a.jpg").unlink()
    said = "has no image; images left out, as .heic files are not read: 2; convert them to JPEG"
    with pytest.raises(DataError, match=re.escape(said)):
        read_yolo(str(tmp_path))


@pytest.mark.parametrize(
    ("files", "split", "said"),
    [
        (
            {"a.jpg": ""},
            "train",
            "has no split train; add one of train/images, images/train, train,",
        ),
        ({"data.yaml": "train: x/y\nnames: [a]"}, "train", "names x/y, which does not exist"),
        (
            {"data.yaml": "train: .\nnames: cat", "a.jpg": ""},
            "train",
            "cat is no file; list the class",
        ),
        ({"data.yaml": "- a"}, "train", "data.yaml: expected keys such as train"),
        ({"data.yaml": "a: [", "a.jpg": ""}, "train", "data.yaml is not YAML"),
        ({"data.yaml": "[" * 9999, "a.jpg": ""}, "train", "data.yaml is not YAML"),
        ({"train/readme.txt": "x"}, "train", "no image in its split train"),
        ({"data.yaml": "train: .\nnames: {0: a, 2: b}", "a.jpg": ""}, "train", "found no 1"),
        ({"notes.json": "{}", "a.jpg": ""}, None, "notes.json: expected a list, found None"),
    ],
)
def test_refusals(tmp_path: Path, files: dict[str, str], split: str | None, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read_yolo(str(write(tmp_path, files)), split)
    assert said in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_refuses_a_folder_that_does_not_exist() -> None:
    with pytest.raises(DataError, match=f"^YOLO data: {Path.home()}/nowhere/at does not exist$"):
        read_yolo("~/nowhere/at", "train")


def test_text_files_without_an_image_are_counted(tmp_path: Path) -> None:
    """Those of another split's images, and texts that are no annotations, are not."""
    files = dict.fromkeys(("images/a.jpg", "images/b.jpg"), "")
    texts = dict.fromkeys(("a", "b", "lost", "gone"), ROW) | {"notes": "made in 2020"}
    files |= {f"labels/{name}.txt": text for name, text in texts.items()}
    root = write(tmp_path, files | {"train.txt": "images/a.jpg\n", "val.txt": "images/b.jpg\n"})
    lost = [str(root / "labels" / f"{name}.txt") for name in ("gone", "lost")]
    for split in ("train", "val"):
        places = read_yolo(str(root), split).tally.places
        assert places["text files without an image left out"] == lost


@pytest.mark.parametrize(
    "place", ["Images/Train/{}.jpg Labels/Train", "Train/Images/{}.jpg Train/Labels"]
)
def test_folders_may_be_in_upper_case(tmp_path: Path, place: str) -> None:
    image, labels = place.split()
    files = {image.format("a"): "", f"{labels}/a.txt": ROW, "classes.txt": "cat\nno\n"}
    (record,) = read_yolo(str(write(tmp_path, files)), "train").check().records
    assert len(record.boxes) == 1


@pytest.mark.parametrize("names", ["names: [cat, cat]", "names: {0: cat, 1: cat}"])
def test_two_classes_of_one_name_are_refused(tmp_path: Path, names: str) -> None:
    root = write(tmp_path, {"data.yaml": f"{names}\n", "images/a.jpg": ""})
    with pytest.raises(DataError, match="two classes are named cat"):
        read_yolo(str(root))


def test_keys_that_are_no_texts_are_refused(tmp_path: Path) -> None:
    root = write(tmp_path, {"data.yaml": "0: cat\n1: dog\n", "images/a.jpg": ""})
    with pytest.raises(DataError, match="expected keys such as train"):
        read_yolo(str(root / "data.yaml"))


def test_a_line_of_a_list_is_no_reason_to_search_the_disk(tmp_path: Path) -> None:
    files = {"train.txt": f"{tmp_path}/none.jpg\nimages/a.jpg\n", "labels/b.txt": ROW}
    root = write(tmp_path / "data", {"images/a.jpg": "", "classes.txt": "cat\n", **files})
    write_image(tmp_path / "elsewhere" / "b.jpg")
    found = read_yolo(str(root), "train")
    assert [Path(record.image_id).name for record in found.records] == ["a.jpg"]
    assert found.tally.counts["text files without an image left out"] == 1
