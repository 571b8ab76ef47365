"""COCO files: what is read, dropped, and refused in one line."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.formats.builders import write_coco, write_image
from tests.shared import SHARED, needs_shared
from vision.errors import DataError
from vision.formats import Annotations, read_coco

CONTENT: dict[str, Any] = {
    "images": [
        {"id": 30, "file_name": "c.jpg", "height": 40, "width": 60},
        {"id": 7, "file_name": "a.png", "height": 40, "width": 60},
        {"id": 11, "file_name": "deep/b.jpg"},
    ],
    "categories": [
        {"id": 90, "name": "tooth brush"},
        {"id": 3, "name": "Car"},
        {"id": 18, "name": "dog"},
    ],
    "annotations": [
        {"id": 1, "image_id": 30, "category_id": 18, "bbox": [10, 5, 20, 15], "area": 123.5},
        {"id": 2, "image_id": 30, "category_id": 90, "bbox": [0.5, 0, 4, 3], "iscrowd": 0},
        {"id": 3, "image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4], "iscrowd": 1, "area": 9},
        {"id": 4, "image_id": 30, "category_id": 18, "bbox": [1, 2, 3, 4], "ignore": 1},
    ],
}


def read(folder: Path, content: object = None, **changes: list[object]) -> Annotations:
    """What is read of the file above, or another, with some of its lists changed."""
    values = copy.deepcopy(CONTENT) | changes
    text = values if content is None else content
    assert isinstance(text, dict | str)
    return read_coco(str(write_coco(folder / "coco", text)), "train")


def annotated(**changes: object) -> list[object]:
    """The annotations with one more, a sound one but for ``changes``; None leaves a key out."""
    more = {"id": 9, "image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4], **changes}
    return [*CONTENT["annotations"], {k: value for k, value in more.items() if value is not None}]


# Reading


def test_sparse_category_ids_become_labels_in_their_order(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.names == ["Car", "dog", "tooth brush"]
    labels = {name: label for label, name in enumerate(found.names)}
    assert [record.target(labels).labels.tolist() for record in found.records] == [
        [0],
        [],
        [1, 2, 1],
    ]


def test_images_come_in_the_order_of_their_ids_also_those_without_objects(tmp_path: Path) -> None:
    found = read(tmp_path)
    folder = tmp_path / "coco" / "train"
    paths = [str(folder / name) for name in ("a.png", "deep/b.jpg", "c.jpg")]
    assert [record.image_id for record in found.records] == paths
    assert [record.boxes.shape for record in found.records] == [(1, 4), (0, 4), (3, 4)]
    assert [record.size for record in found.records] == [(40, 60)] * 3
    assert found.records[1].read().shape == (40, 60, 3)
    assert found.tally.lines() == []


def test_corner_and_sides_become_corners(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.records[2].boxes.tolist() == [[10, 5, 30, 20], [0.5, 0, 4.5, 3], [1, 2, 4, 6]]


def test_crowds_are_ignored_and_known_as_crowds(tmp_path: Path) -> None:
    first, _, last = read(tmp_path).records
    assert (first.ignore.tolist(), first.crowd.tolist()) == ([True], [True])
    assert last.ignore.tolist() == [False, False, True]
    assert last.crowd.tolist() == [False, False, False]


def test_areas_are_those_of_the_annotation_or_else_of_the_box(tmp_path: Path) -> None:
    first, _, last = read(tmp_path).records
    assert first.areas.tolist() == [9]
    assert last.areas.tolist() == [123.5, 12, 12]


def test_annotations_need_no_id_of_their_own(tmp_path: Path) -> None:
    found = read(tmp_path, annotations=annotated(id=None))
    assert found.records[0].boxes.tolist() == [[1, 2, 4, 6], [1, 2, 4, 6]]


def test_ids_may_be_numbers_and_texts_numbers_first(tmp_path: Path) -> None:
    images: list[object] = [{"id": "8", "file_name": "c.jpg"}, {"id": 7, "file_name": "a.png"}]
    found = read(tmp_path, images=images, annotations=[])
    assert [Path(record.image_id).name for record in found.records] == ["a.png", "c.jpg"]


def test_ids_of_categories_may_be_texts(tmp_path: Path) -> None:
    categories: list[object] = [{"id": "b", "name": "cat"}, {"id": "a", "name": "dog"}]
    boxes: list[object] = [{"image_id": 7, "category_id": "b", "bbox": [1, 2, 3, 4]}]
    found = read(tmp_path, categories=categories, annotations=boxes)
    assert found.names == ["dog", "cat"]
    assert found.records[0].names == ("cat",)


def test_values_that_are_not_finite_numbers_or_flags_are_refused(tmp_path: Path) -> None:
    where = "annotations[4]"
    for changes, said in (
        ({"area": float("nan")}, f"{where}.area: expected a finite number, found nan"),
        ({"iscrowd": "0"}, f"{where}.iscrowd: expected 0 or 1, found '0'"),
    ):
        assert said in refusal(tmp_path, annotations=annotated(**changes))


def test_difficult_annotations_are_ignored(tmp_path: Path) -> None:
    found = read(tmp_path, annotations=annotated(difficult=1))
    assert found.records[0].ignore.tolist() == [True, True]
    assert found.records[0].crowd.tolist() == [True, False]


def test_classes_without_boxes_are_known(tmp_path: Path) -> None:
    found = read(tmp_path, annotations=[])
    assert found.count() == {"Car": 0, "dog": 0, "tooth brush": 0}
    assert list(found.count()) == ["Car", "dog", "tooth brush"]


@pytest.mark.parametrize(
    ("bbox", "kind"),
    [
        ([1, 2, 0, 4], "boxes without area dropped"),
        ([1, 2, 3, 0], "boxes without area dropped"),
        ([1, 2, float("nan"), 4], "boxes without area dropped"),
        ([1, 2, float("inf"), 4], "boxes without area dropped"),
        ([60, 2, 3, 4], "boxes outside their image dropped"),
        ([-9, 2, 3, 4], "boxes outside their image dropped"),
        ([1e7, 2, 1e-3, 4], "boxes outside their image dropped"),
    ],
)
def test_degenerate_boxes_are_dropped_and_counted(
    tmp_path: Path, bbox: list[float], kind: str
) -> None:
    found = read(tmp_path, annotations=annotated(bbox=bbox))
    assert found.records[0].boxes.tolist() == [[1, 2, 4, 6]]
    assert found.tally.lines() == [f"{kind}: 1 ({tmp_path / 'coco/train/a.png'})"]


def test_boxes_are_cut_at_the_border_and_counted(tmp_path: Path) -> None:
    found = read(tmp_path, annotations=annotated(bbox=[-5, -5, 100, 20]))
    assert found.records[0].boxes.tolist()[1] == [0, 0, 60, 15]
    assert found.tally.counts == {"boxes clipped to the image": 1}


def test_annotations_of_images_that_are_not_listed_are_counted(tmp_path: Path) -> None:
    found = read(tmp_path, annotations=annotated(image_id=999))
    file = tmp_path / "coco/annotations/instances_train.json"
    assert found.tally.lines() == [f"annotations of images that are not listed dropped: 1 ({file})"]
    assert sum(found.count().values()) == 4


@pytest.mark.parametrize("sides", [{}, {"height": None, "width": None}, {"height": 0, "width": 0}])
def test_an_absent_size_is_taken_from_the_image(tmp_path: Path, sides: dict[str, object]) -> None:
    found = read(tmp_path, images=[{"id": 7, "file_name": "a.png", **sides}], annotations=[])
    assert found.records[0].size == (40, 60)
    assert found.tally.lines() == []


@pytest.mark.parametrize("sides", [{"height": 40.0, "width": 60.0}, {"height": 40, "width": 60}])
def test_a_size_may_be_written_with_decimals(tmp_path: Path, sides: dict[str, object]) -> None:
    found = read(tmp_path, images=[{"id": 7, "file_name": "a.png", **sides}], annotations=[])
    assert found.tally.lines() == []


def test_a_wrong_size_is_counted_and_the_image_believed(tmp_path: Path) -> None:
    images: list[object] = [{"id": 7, "file_name": "a.png", "height": 100, "width": 100}]
    found = read(tmp_path, images=images, annotations=[])
    assert found.records[0].size == (40, 60)
    assert found.tally.counts == {"images of another size than their annotation states": 1}


def test_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    read(tmp_path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("absolute", [False, True])
def test_other_files_below_the_root_or_as_paths(tmp_path: Path, absolute: bool) -> None:
    names = ("labels/mine.json", "pictures")
    root = write_coco(tmp_path / "coco", CONTENT, annotations=names[0], images=names[1])
    annotations, images = (str(root / name) if absolute else name for name in names)
    found = read_coco(str(root), "any", annotations=annotations, images=images)
    assert found.records[0].image_id == str(root / "pictures" / "a.png")


def test_the_two_files_alone_will_do_also_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_coco(tmp_path / "coco", CONTENT, annotations="mine.json", images="pictures")
    found = read_coco(annotations=str(root / "mine.json"), images=str(root / "pictures"))
    assert found.records[0].image_id == str(root / "pictures" / "a.png")
    monkeypatch.chdir(root)
    found = read_coco(annotations="mine.json", images="pictures")
    assert found.records[0].image_id == str(Path("pictures") / "a.png")
    assert len(read_coco(str(root), annotations="mine.json", images="pictures").records) == 3


def kinds(*parents: str) -> list[object]:
    """The categories with a parent each, by the order of ids: Car, dog, tooth brush."""
    categories = sorted(CONTENT["categories"], key=lambda category: category["id"])
    return [{**c, "supercategory": name} for c, name in zip(categories, parents, strict=True)]


@pytest.mark.parametrize(
    ("categories", "names"),
    [
        # Roboflow's: a parent of all, that no box has; it may have the name of a class.
        (
            [{"id": 0, "name": "things", "supercategory": "none"}, *kinds("things", "things", "x")],
            ["Car", "dog", "tooth brush"],
        ),
        (
            [{"id": 0, "name": "dog", "supercategory": "none"}, *kinds("dog", "dog", "dog")],
            ["Car", "dog", "tooth brush"],
        ),
        # COCO's person is of the supercategory person.
        (
            [{"id": 1, "name": "person", "supercategory": "person"}, *kinds("x", "x", "x")],
            ["person", "Car", "dog", "tooth brush"],
        ),
        # A parent that boxes bear, and what is nobody's parent.
        (kinds("dog", "x", "Car"), ["Car", "dog", "tooth brush"]),
        (
            [{"id": 99, "name": "things", "supercategory": "dog"}, *kinds("x", "x", "x")],
            ["Car", "dog", "tooth brush", "things"],
        ),
    ],
)
def test_parents_of_classes_are_left_out_that_no_box_has(
    tmp_path: Path, categories: list[object], names: list[str]
) -> None:
    found = read(tmp_path, categories=categories)
    assert found.names == names
    file = tmp_path / "coco/annotations/instances_train.json"
    left_out = len(categories) - len(names)
    parent = (
        "things" if {"id": 0, "name": "things", "supercategory": "none"} in categories else "dog"
    )
    line = f"parent categories without a box left out: 1 ({parent} in {file})"
    assert found.tally.lines() == [line] * left_out


# As tools write it


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    root = write_coco(tmp_path, CONTENT)
    file = root / "annotations" / "instances_train.json"
    file.write_bytes(file.read_text(encoding="utf-8").encode(encoding))
    assert len(read_coco(str(root), "train").check().records) == 3


RLE = {"size": [40, 60], "counts": [405, 10, 30, 10, 1945]}  # of columns: x 10 and 11, y 5 to 14


@pytest.mark.parametrize(
    ("mask", "box"),
    [
        ([[10, 20, 30, 20, 30, 35, 10, 35]], [10, 20, 30, 35]),
        ([[10, 20, 12, 20, 12, 22], [28, 30, 30, 35, 29, 35]], [10, 20, 30, 35]),
        ([10, 20, 30, 20, 30, 35.5], [10, 20, 30, 35.5]),
        (RLE, [10, 5, 12, 15]),
    ],
)
@pytest.mark.parametrize("bbox", [None, []])
def test_masks_without_a_box_have_one(
    tmp_path: Path, mask: object, box: list[float], bbox: object
) -> None:
    row = {"image_id": 7, "category_id": 3, "bbox": bbox, "segmentation": mask}
    found = read(tmp_path, annotations=[row])
    assert found.records[0].boxes.tolist() == [box]


@pytest.mark.parametrize("mask", [None, [], [[]], [[1]], "x", {}, {"size": [4, 4], "counts": 3}])
def test_refuses_neither_a_box_nor_a_mask(tmp_path: Path, mask: object) -> None:
    rows: list[object] = [{"image_id": 7, "category_id": 3, "segmentation": mask}]
    said = refusal(tmp_path, annotations=rows)
    assert "annotations[0].bbox: expected [x, y, width, height], found None" in said


@pytest.mark.parametrize("sides", [["1", "2", "3", "4.0"], [1, 2.0, " 3", 4]])
def test_boxes_may_be_texts(tmp_path: Path, sides: list[object]) -> None:
    row = {"image_id": 7, "category_id": 3, "bbox": sides}
    assert read(tmp_path, annotations=[row]).records[0].boxes.tolist() == [[1, 2, 4, 6]]


@pytest.mark.parametrize(
    ("image_id", "category_id", "listed"),
    [(7, 3, "7"), ("7", 3, 7), (7, "3", 7), (7.0, 3.0, 7), (2**60, 3, 2**60), ("7", 3.0, 7)],
)
def test_ids_as_texts_are_the_numbers_of_the_other_side(
    tmp_path: Path, image_id: object, category_id: object, listed: object
) -> None:
    row = {"image_id": image_id, "category_id": category_id, "bbox": [1, 2, 3, 4]}
    found = read(tmp_path, images=[{"id": listed, "file_name": "a.png"}], annotations=[row])
    assert found.records[0].names == ("Car",)
    assert found.tally.lines() == []


def test_ids_of_categories_may_have_decimals(tmp_path: Path) -> None:
    categories: list[object] = [{"id": 1.0, "name": "cat"}, {"id": 2, "name": "dog"}]
    row = {"image_id": 7, "category_id": 2.0, "bbox": [1, 2, 3, 4]}
    found = read(tmp_path, categories=categories, annotations=[row])
    assert found.records[0].names == ("dog",)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("my%20photo.png", "my photo.png"),
        ("deep\\a.png", "deep/a.png"),
        ("C:\\Users\\me\\a.png", "a.png"),
        ("/home/me/photos/train/deep/a.png", "deep/a.png"),
        ("train/a.png", "a.png"),
        ("./a.png", "a.png"),
        ("../../label-studio/data/media/upload/1/12ab34cd-a.png", "12ab34cd-a.png"),
        ("images/12ab34cd-my%20a.png", "my a.png"),
        ("/data/local-files/?d=photos%2Fdeep%2Fa.png", "deep/a.png"),
        ("Gro\u0308\u00dfe.png", "Gr\u00f6\u00dfe.png"),
        ("Gr\u00f6\u00dfe.png", "Gro\u0308\u00dfe.png"),
    ],
)
def test_names_of_images_as_tools_write_them(tmp_path: Path, name: str, stored: str) -> None:
    text = json.dumps(
        {"images": [{"id": 7, "file_name": name}], "annotations": [], "categories": []}
    )
    path = write_image(write_coco(tmp_path, text) / "train" / stored)
    (found,) = read_coco(str(tmp_path), "train").check().records
    assert found.image_id == str(path)


def test_a_name_that_is_there_is_taken_literally(tmp_path: Path) -> None:
    content = {"images": [{"id": 7, "file_name": "a%20b.png"}], "annotations": [], "categories": []}
    root = write_coco(tmp_path, content)
    write_image(root / "train" / "a b.png")
    (found,) = read_coco(str(root), "train").check().records
    assert Path(found.image_id).name == "a%20b.png"


def test_other_folders_are_not_taken_for_those_that_are_named(tmp_path: Path) -> None:
    """Cameras number their photographs alike."""
    text = '{"images": [{"id": 1, "file_name": "one/1.png"}], "annotations": [], "categories": []}'
    write_image(write_coco(tmp_path, text) / "train" / "two" / "1.png")
    with pytest.raises(DataError, match=r"train/one/1\.png cannot be opened"):
        read_coco(str(tmp_path), "train").check()


def test_refuses_two_names_that_are_found_as_one_file(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "one/1.png"}, {"id": 2, "file_name": "two/1.png"}]
    text = json.dumps({"images": images, "annotations": [], "categories": []})
    write_image(write_coco(tmp_path, text) / "train" / "1.png")
    with pytest.raises(
        DataError, match=r"one/1\.png and two/1\.png both match the image .*/1\.png; correct one$"
    ):
        read_coco(str(tmp_path), "train").check()


def test_a_name_that_is_too_long_is_a_fault(tmp_path: Path) -> None:
    name = f"{'a' * 300}.png"
    text = (
        f'{{"images": [{{"id": 1, "file_name": "{name}"}}], "annotations": [], "categories": []}}'
    )
    (fault,) = read_coco(str(write_coco(tmp_path, text)), "train").faults
    assert fault.kind == "missing image"
    assert "File name too long" in fault.message


def test_a_file_under_two_ids_is_counted(tmp_path: Path) -> None:
    images: list[object] = [{"id": number, "file_name": "a.png"} for number in (7, 8)]
    found = read(tmp_path, images=images, annotations=annotated()[:0]).check()
    assert len(found.records) == 2
    assert found.tally.counts == {"images listed again under another id": 1}


def test_two_images_of_one_id_are_named(tmp_path: Path) -> None:
    images: list[object] = [{"id": 7, "file_name": name} for name in ("a.png", "c.jpg")]
    said = refusal(tmp_path, images=images, annotations=[])
    assert "expected each id once, found duplicates of 7 ('a.png', 'c.jpg')" in said


def test_two_categories_of_one_id_are_named(tmp_path: Path) -> None:
    categories: list[object] = [{"id": 3, "name": name} for name in ("cat", "dog")]
    said = refusal(tmp_path, categories=categories, annotations=[])
    assert "expected each id once, found duplicates of 3 ('cat', 'dog')" in said


def test_negative_sides_are_put_right_and_counted(tmp_path: Path) -> None:
    row = {"image_id": 7, "category_id": 3, "bbox": [30, 20, -20, -15]}
    found = read(tmp_path, annotations=[row])
    assert found.records[0].boxes.tolist() == [[10, 5, 30, 20]]
    assert found.tally.counts == {"boxes whose corners were swapped": 1}


# Refusals


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"root": "r"},
        {"split": "s"},
        {"root": "r", "annotations": "a"},
        {"split": "s", "images": "i"},
        {"annotations": "", "images": ""},
    ],
)
def test_refuses_less_than_it_needs(given: dict[str, str]) -> None:
    with pytest.raises(DataError, match=r"^COCO data: give root and split, or annotations and im"):
        read_coco(**given)


def test_without_a_root_names_the_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"^COCO data: {Path.cwd()}/a\.json does not exist$"):
        read_coco(annotations="a.json", images=str(tmp_path))


def refusal(folder: Path, content: object = None, **changes: list[object]) -> str:
    """The one line by which a file is refused."""
    with pytest.raises(DataError) as caught:
        read(folder, content, **changes)
    assert "\n" not in str(caught.value)
    assert str(folder / "coco") in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "found invalid JSON"),
        ("{", "found invalid JSON"),
        ("images", "found invalid JSON"),
        ("[]", "expected an object with images, annotations and categories"),
        ("3", "(COCO instances), found 3"),
        ("{}", "(without images, annotations, categories)"),
        (json.dumps(CONTENT | {"images": {}}), "images: expected a list"),
        (
            json.dumps({k: v for k, v in CONTENT.items() if k != "categories"}),
            "(without categories)",
        ),
        (
            json.dumps({k: v for k, v in CONTENT.items() if k != "annotations"}),
            "(without annotations)",
        ),
    ],
)
def test_refuses_what_is_not_a_coco_file(tmp_path: Path, content: str, said: str) -> None:
    assert said in refusal(tmp_path, content)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"category_id": 4},
            "expected each category_id to be one of the annotation file's 3 (3, 18, 90), found 4",
        ),
        ({"category_id": None}, "annotations[4]: expected an object with image_id, category_id"),
        ({"image_id": None}, "(without image_id)"),
        ({"image_id": [7]}, "annotations[4].image_id: expected a number or string, found [7]"),
        ({"bbox": None}, "annotations[4].bbox: expected [x, y, width, height], found None"),
        ({"bbox": []}, "annotations[4].bbox: expected [x, y, width, height], found"),
        ({"bbox": [1, 2, 3]}, "annotations[4].bbox: expected [x, y, width, height], found"),
        ({"bbox": [1, 2, 3, 4, 5]}, "annotations[4].bbox: expected [x, y, width, height], found"),
        ({"bbox": [1, 2, 3, "x"]}, "annotations[4].bbox: expected [x, y, width, height], found"),
        ({"bbox": [1, 2, 3, [4]]}, "annotations[4].bbox: expected [x, y, width, height], found"),
        ({"area": "large"}, "annotations[4].area: expected a finite number, found 'large'"),
        ({"area": math.nan}, "annotations[4].area: expected a finite number, found nan"),
        ({"area": 10**400}, "annotations[4].area: expected a finite number, found 1000"),
        (
            {"bbox": [1, 2, 10**400, 4]},
            "annotations[4].bbox: expected [x, y, width, height], found",
        ),
        ({"iscrowd": math.nan}, "annotations[4].iscrowd: expected 0 or 1, found nan"),
        ({"iscrowd": [1]}, "annotations[4].iscrowd: expected 0 or 1, found [1]"),
        ({"category_id": "9" * 5000}, "(3, 18, 90), found '9999"),
        (
            {"bbox": None, "segmentation": {"size": [10**400, 3], "counts": [1]}},
            "annotations[4].bbox: expected [x, y, width, height], found None",
        ),
        (
            {"bbox": None, "segmentation": [[10**400, 1, 2, 3]]},
            "annotations[4].bbox: expected [x, y, width, height], found None",
        ),
    ],
)
def test_refuses_annotations(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    message = refusal(tmp_path, annotations=annotated(**changes))
    assert said in message
    assert len(message) < len(str(tmp_path)) + 400


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ([], "lists no images"),
        (["a.png"], "images[0]: expected an object with id, found 'a.png'"),
        ([{"file_name": "a.png"}], "(without id)"),
        ([{"id": 7}], "images[0].file_name: expected a string, found None"),
        ([{"id": 7, "file_name": 3}], "images[0].file_name: expected a string, found 3"),
        ([{"id": [7], "file_name": "a.png"}], "expected each id to be int or str, found [7]"),
        ([{"id": 7}, {"id": 7}], "images: expected each id once, found duplicates of 7"),
        ([{"id": math.nan}], "images: expected each id to be int or str, found nan"),
    ],
)
def test_refuses_images(tmp_path: Path, images: list[object], said: str) -> None:
    assert said in refusal(tmp_path, images=images, annotations=[])


@pytest.mark.parametrize(
    ("categories", "said"),
    [
        ([{"name": "dog"}], "categories[0]: expected an object with id, name"),
        ([{"id": 1}], "(without name)"),
        ([{"id": 1, "name": ""}], "categories[0].name: expected a string, found ''"),
        ([{"id": 1, "name": 7}], "categories[0].name: expected a string, found 7"),
        ([{"id": 1, "name": "\ud800"}], "categories[0].name: expected a string without lone surro"),
        ([{"id": None, "name": "a"}], "expected each id to be int or str, found None"),
        ([{"id": 1, "name": "dog"}, {"id": 2, "name": "dog"}], "two categories are named dog; re"),
    ],
)
def test_refuses_categories(tmp_path: Path, categories: list[object], said: str) -> None:
    assert said in refusal(tmp_path, categories=categories, annotations=[])


@pytest.mark.parametrize("name", ["a\0.png", "a\ud800.png"])
def test_a_name_that_no_file_can_have_is_a_fault(tmp_path: Path, name: str) -> None:
    root = write_coco(tmp_path / "coco", CONTENT)
    images = [*CONTENT["images"], {"id": 1, "file_name": name}]
    write_coco(root, json.dumps(CONTENT | {"images": images}))
    found = read_coco(str(root), "train")
    assert [fault.kind for fault in found.faults] == ["missing image"]
    assert "no file can have this name" in found.faults[0].message
    assert len(found.records) == 3


def test_an_image_id_of_too_many_digits_is_that_of_no_image(tmp_path: Path) -> None:
    found = read(tmp_path, annotations=annotated(image_id="9" * 5000))
    assert found.tally.counts == {"annotations of images that are not listed dropped": 1}


def test_refuses_a_missing_file_or_folder(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "coco", CONTENT)
    for split, name in (("val", "annotations/instances_val.json"), ("train", "train")):
        if split == "train":
            (root / "train").rename(root / "pictures")
        with pytest.raises(DataError, match=f"^COCO root {root} has no {name}; pass") as caught:
            read_coco(str(root), split)
        assert "annotations=" in str(caught.value)
        assert "images=" in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"\x89PNG\r\n"])
def test_refuses_a_missing_or_broken_image(tmp_path: Path, content: bytes | None) -> None:
    root = write_coco(tmp_path / "coco", CONTENT)
    image = root / "train" / "a.png"
    image.unlink()
    if content is not None:
        image.write_bytes(content)
    with pytest.raises(DataError, match=f"^image {image} cannot be "):
        read_coco(str(root), "train").check()


# Real data


@needs_shared
@pytest.mark.parametrize(("split", "images"), [("train", 343), ("val", 100)])
def test_coco_mini(split: str, images: int) -> None:
    found = read_coco(str(SHARED / "data" / "coco_mini"), split)
    assert len(found.records) == images
    assert len(found.names) == 80
    assert (found.names[0], found.names[79]) == ("person", "toothbrush")
    assert any(record.crowd.any() for record in found.records)
    assert all((record.crowd <= record.ignore).all() for record in found.records)
    assert all((record.areas > 0).all() for record in found.records)
