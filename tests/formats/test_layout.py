"""Each layout is recognised by its files, and read with the right names and boxes."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.formats import layouts
from tests.formats.builders import write_image
from tests.formats.layouts import FLAT, LAYOUTS, SPLIT, found, labelimg_voc, labelimg_yolo, shot
from tests.permissions import heeded_permissions
from vision.errors import DataError
from vision.formats import read_data
from vision.formats.layout import find_layout


def check(root: Path, name: str) -> None:
    """The folder is recognised as the layout that was written there, and read."""
    _, format_, splits = LAYOUTS[name]
    layout = find_layout(root)
    assert layout.format == format_
    is_flat = set(layout.splits) in ({"all"}, {"train"})  # CVAT calls it train
    assert is_flat if splits is FLAT else set(layout.splits) == set(splits)
    for split, keys in layout.splits.items():
        stems = FLAT["all"] if splits is FLAT else splits[split]
        annotations = read_data(layout.format, **keys).check()
        assert set(annotations.names) <= {"cat", "dog"}
        boxes = found(annotations)
        assert set(boxes) == set(stems)
        for stem, (names, rows) in boxes.items():
            assert names == (shot(stem).name,)
            assert np.allclose(rows, [shot(stem).box], atol=1e-3)


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layout_is_recognised_and_read(tmp_path: Path, name: str) -> None:
    write, _, splits = LAYOUTS[name]
    write(tmp_path, splits)
    check(tmp_path, name)


@pytest.mark.parametrize("name", ["VOC", "Roboflow, YOLO", "LabelImg, VOC"])
def test_an_archive_may_have_a_folder_around_all(tmp_path: Path, name: str) -> None:
    write, _, splits = LAYOUTS[name]
    write(tmp_path / "export" / "mine", splits)
    (tmp_path / "__MACOSX").mkdir()
    check(tmp_path, name)
    write_image(tmp_path / "preview.jpg")
    check(tmp_path, name)


@pytest.mark.parametrize(
    ("name", "file"), [("Roboflow, YOLO", "data.yaml"), ("Label Studio, COCO", "result.json")]
)
def test_a_file_that_lists_the_images_is_taken_too(tmp_path: Path, name: str, file: str) -> None:
    write, _, splits = LAYOUTS[name]
    write(tmp_path, splits)
    check(tmp_path / file, name)


def test_a_list_of_train_and_val_together_is_not_taken_beside_train(tmp_path: Path) -> None:
    layouts.voc(tmp_path, {**SPLIT, "trainval": ["img0", "v0"], "cat_train": ["img0"]})
    assert set(find_layout(tmp_path).splits) == {"train", "val", "test"}


def test_a_list_of_train_and_val_together_is_split_again(tmp_path: Path) -> None:
    layouts.voc(tmp_path, {"val": ["v0"], "trainval": ["img0", "v0"]})
    assert find_layout(tmp_path).splits == {"all": {"root": str(tmp_path), "split": "trainval"}}


def refusal(root: Path) -> str:
    """The one line by which a folder is refused."""
    with pytest.raises(DataError) as caught:
        find_layout(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def both(root: Path) -> None:
    layouts.labelimg_voc(root, FLAT)
    layouts.labelimg_yolo(root, FLAT)


def twice(root: Path) -> None:
    layouts.roboflow_voc(root, SPLIT)
    shutil.copytree(root / "valid", root / "val")


def twice_with_metadata(root: Path) -> None:
    layouts.image_folder(root, SPLIT)
    shutil.copytree(root / "validation", root / "val")


def two_files(root: Path) -> None:
    layouts.label_studio_coco(root, FLAT)
    shutil.copy(root / "result.json", root / "other.json")


def two_sets(root: Path) -> None:
    layouts.voc(root / "VOC2007", SPLIT)
    layouts.voc(root / "VOC2012", SPLIT)


def two_exports(root: Path) -> None:
    layouts.label_studio_coco(root / "a" / "p1", FLAT)
    layouts.cvat_coco(root / "b" / "p2", FLAT)


def two_coco_folders(root: Path) -> None:
    layouts.label_studio_coco(root / "a", FLAT)
    layouts.label_studio_coco(root / "b", FLAT)


def one_deeper_than_the_other(root: Path) -> None:
    layouts.label_studio_coco(root / "a", FLAT)
    layouts.cvat_coco(root / "b", FLAT)
    layouts.roboflow_yolo(root / "c", SPLIT)


def one_beside_others(root: Path) -> None:
    layouts.voc(root / "mine" / "VOC2007", SPLIT)
    (root / "scripts").mkdir()


def one_split_in_two(root: Path) -> None:
    labelimg_voc(root / "a" / "train", {"all": ["img0"]})
    labelimg_voc(root / "b" / "train", {"all": ["img1"]})


def coco_beside_yolo(root: Path) -> None:
    layouts.cvat_coco(root / "a", FLAT)
    labelimg_yolo(root / "b", FLAT)


def photographs(root: Path) -> None:
    for stem in FLAT["all"]:
        layouts.write_shot(root / f"{stem}.jpg", stem)
    (root / "notes.docx").touch()
    (root / "more").mkdir()
    (root / "older").mkdir()


def photographs_and_one_folder(root: Path) -> None:
    layouts.write_shot(root / "img0.jpg", "img0")
    layouts.write_shot(root / "edited" / "img1.jpg", "img1")


def other_json(root: Path) -> None:
    (root / "empty.json").touch()
    (root / "list.json").write_text(json.dumps([1]), encoding="utf-8")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (both, "could be read as VOC's XML files in {root} or as YOLO's text files in {root}; rem"),
        (both, "'data.train={{format: voc, annotations: {root}, images: {root}}}'"),
        (
            twice,
            "{root}: both {root}/val and {root}/valid could be the val split; remove or rename one",
        ),
        (
            twice_with_metadata,
            "{root}: both {root}/val and {root}/validation could be the val split; r",
        ),
        (
            two_files,
            "{root} has several COCO files; pass one of them, or keep only one there: {root}/o",
        ),
        (two_sets, "{root} holds several data sets; pass one of them: VOC2007, VOC2012"),
        (two_exports, "{root} holds several data sets; pass one of them: a, b"),
        (two_coco_folders, "or keep only one there: {root}/a/result.json, {root}/b"),
        (one_deeper_than_the_other, "{root} holds several data sets, a and b, c; pass the"),
        (coco_beside_yolo, "holds several data sets, YOLO's text files in {root} and a; pass the"),
        (one_beside_others, "{root} holds a data set and other folders; pass {root}/mine"),
        (
            one_split_in_two,
            "one split has photographs in {root}/a/train, {root}/b/train; move",
        ),
        (photographs, "has no annotations in a known layout (VOC, COCO, YOLO, Open Images, Hug"),
        (photographs, "found 10 .jpg, 1 .docx, more/, older/"),
        (photographs_and_one_folder, "{root} has no annotations in a known layout (VOC, COCO, Y"),
        (other_json, "found 2 .json"),
        (lambda _: None, "found nothing"),
    ],
)
def test_a_folder_that_is_not_clear_is_refused_in_one_line(
    tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    write(tmp_path)
    assert message.format(root=tmp_path) in refusal(tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (
            "annotations.xml",
            '<?xml version="1.0"?>\n<annotations>\n<version>1.1</version><meta/><image id="0"/>',
            "annotations.xml is CVAT's own XML; export from CVAT as COCO 1.0",
        ),
        (
            "project-1.json",
            '[{"id": 1, "annotations": [{"result": [{"value": {"rectanglelabels": ["cat"]}}]}]}]',
            "project-1.json is Label Studio's own JSON; export from Label Studio as COCO",
        ),
        (
            "images/a.json",
            '{"version": "5.4", "shapes": [{"label": "cat"}]}',
            "a.json is LabelMe's JSON; docs/data.md says how to convert it",
        ),
        ("images/a.jpg", "", "; draw boxes around the objects in a labelling tool"),
    ],
)
def test_an_unread_format_says_what_to_do_about_the_folder_that_was_named(
    tmp_path: Path, file: str, text: str, said: str
) -> None:
    root = tmp_path / "mine"
    photographs(root / "images")
    layouts.write_text(root / file, text)
    (root / "images" / "notes.docx").unlink(missing_ok=True)
    for other in (tmp_path / "one", tmp_path / "two"):
        labelimg_voc(other, FLAT)
    message = refusal(root)
    assert message.startswith(f"{root} has no annotations in a known layout")
    assert said in message
    assert "did you mean" not in message


def ultralytics_coco(root: Path) -> None:
    for split, stems in SPLIT.items():
        layouts.coco(root, {split: stems})
        for stem in stems:
            layouts.write_text(root / "labels" / f"{split}2017" / f"{stem}.txt", shot(stem).yolo)


def old_annotations(root: Path) -> None:
    layouts.label_studio_voc(root, FLAT)
    shutil.copytree(root / "Annotations", root / "Annotations_old")


def backup(root: Path) -> None:
    labelimg_voc(root / "day 1", FLAT)
    shutil.copytree(root / "day 1", root / "backup")
    for photograph in (root / "backup").glob("*.jpg"):
        photograph.unlink()


def results(root: Path) -> None:
    layouts.cvat_coco(root, FLAT)
    labelimg_yolo(root / "out" / "yolo", FLAT)


def stray_annotation(root: Path) -> None:
    layouts.label_studio_voc(root, FLAT)
    shutil.copy(root / "Annotations" / "img0.xml", root / "images")


def link_to_itself(root: Path) -> None:
    layouts.cvat_coco(root, FLAT)
    (root / "more").mkdir()
    (root / "more" / "loop").symlink_to(root)


@pytest.mark.parametrize(
    "write",
    [ultralytics_coco, old_annotations, backup, results, stray_annotation, link_to_itself],
)
def test_what_lies_beside_a_data_set_does_not_matter(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    write(tmp_path)
    for split, keys in (layout := find_layout(tmp_path)).splits.items():
        stems = (SPLIT if split in SPLIT else FLAT)[split]
        assert set(found(read_data(layout.format, **keys).check())) == set(stems)


@pytest.mark.parametrize("name", ["LabelImg, VOC", "LabelImg, VOC in folders", "VOC in folders"])
def test_the_folder_may_be_the_present_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write, _, splits = LAYOUTS[name]
    write(tmp_path, splits)
    monkeypatch.chdir(tmp_path)
    keys = find_layout(".").splits["all"]
    assert set(found(read_data("voc", **keys).check())) == set(FLAT["all"])


def test_photographs_of_the_folder_and_of_those_in_it_are_read(tmp_path: Path) -> None:
    labelimg_voc(tmp_path, {"all": ["img0", "img1"]})
    labelimg_voc(tmp_path / "images", {"all": ["img2"]})
    keys = find_layout(tmp_path).splits["all"]
    assert set(found(read_data("voc", **keys).check())) == {"img0", "img1", "img2"}


@pytest.mark.parametrize(
    ("name", "part"),
    [("VOC", "JPEGImages"), ("VOC", "Annotations"), ("YOLO", "images"), ("YOLO", "labels")],
)
def test_a_part_of_a_data_set_names_the_folder_around_it(
    tmp_path: Path, name: str, part: str
) -> None:
    write, _, splits = LAYOUTS[name]
    write(tmp_path / "mine", splits)
    assert f"; did you mean {tmp_path / 'mine'}?" in refusal(tmp_path / "mine" / part)
    photographs(tmp_path / "images")
    assert "did you mean" not in refusal(tmp_path / "images")
    labelimg_voc(tmp_path / "both" / "lab", FLAT)
    photographs(tmp_path / "both" / "more" / "images")
    assert "did you mean" not in refusal(tmp_path / "both" / "more" / "images")


@pytest.mark.parametrize("part", ["train", "train/images", "train/labels"])
def test_a_split_of_yolo_without_class_names_names_the_folder_around_it(
    tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layouts.roboflow_yolo(tmp_path, SPLIT)
    assert refusal(tmp_path / part).endswith((f"; pass {tmp_path}", f"; did you mean {tmp_path}?"))
    monkeypatch.chdir(tmp_path / "train")
    assert refusal(Path()).endswith(f"; pass {tmp_path}")


def test_a_split_of_yolo_with_class_names_is_read_alone(tmp_path: Path) -> None:
    layouts.roboflow_yolo(tmp_path, SPLIT)
    (tmp_path / "train" / "classes.txt").write_text("cat\ndog\n")
    assert set(find_layout(tmp_path / "train").splits) == {"all"}
    (tmp_path / "valid").rename(tmp_path / "mine")  # not the name of a split
    assert set(find_layout(tmp_path / "mine").splits) == {"all"}


def test_a_coco_file_without_a_split_beside_others_is_named(tmp_path: Path) -> None:
    layouts.coco(tmp_path, SPLIT)
    layout = find_layout(tmp_path)
    assert layout.reason == f"COCO's JSON in {tmp_path / 'annotations'}"
    train = tmp_path / "annotations" / "instances_train2017.json"
    shutil.copy(train, train.with_name("instances_more.json"))
    assert find_layout(tmp_path).reason == f"{layout.reason} (not read: instances_more.json)"
    assert find_layout(tmp_path).splits == layout.splits


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "nowhere does not exist; pass the folder that holds your images and their"),
        ("mine.zip", "is an archive; unpack it, and pass the folder"),
        (
            "notes.txt",
            "is not a folder, YOLO's data.yaml or a COCO instances file; pass the folder",
        ),
        (
            "run.yaml",
            "is not YOLO's data.yaml, since it has no names; pass a configuration with --",
        ),
        ("one.json", "is not a folder, YOLO's data.yaml or a COCO instances file; pass the folder"),
    ],
)
def test_what_is_no_folder_is_refused_with_a_remedy(
    tmp_path: Path, name: str, message: str
) -> None:
    if name != "nowhere":
        (tmp_path / name).write_text("{}\n", encoding="utf-8")
    assert message in refusal(tmp_path / name)


def test_a_name_that_the_system_refuses_is_one_line(tmp_path: Path) -> None:
    assert "cannot be read: File name too long" in refusal(tmp_path / ("a" * 300))


def test_a_folder_inside_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    labelimg_voc(tmp_path, FLAT)
    (tmp_path / "private").mkdir(mode=0)
    with heeded_permissions():
        assert f"{tmp_path}/private cannot be read: Permission denied" in refusal(tmp_path)


def test_a_json_that_is_broken_is_left_to_the_reader(tmp_path: Path) -> None:
    layouts.label_studio_coco(tmp_path, FLAT)
    file = tmp_path / "result.json"
    content = file.read_bytes().replace(b'"images\\\\img0', b'"\xff\\q')
    assert content != file.read_bytes()
    file.write_bytes(content)
    assert find_layout(tmp_path).splits["all"]["images"] == str(tmp_path)


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    layouts.labelimg_voc(tmp_path / "mine", FLAT)
    assert find_layout("~/mine").format == "voc"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("name", ["img0.xml", "img0.jpg"])
def test_a_named_pipe_among_the_data_is_not_waited_for(tmp_path: Path, name: str) -> None:
    labelimg_voc(tmp_path, {"all": ["img0", "img1"]})
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    layout = find_layout(tmp_path)
    records = read_data(layout.format, **layout.splits["all"]).records
    assert [Path(record.image_id).name for record in records] == ["img1.jpg"]
