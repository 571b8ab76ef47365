"""VOC folders as tools and people leave them: what is read, dropped, and refused in one line."""

import re
import unicodedata
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from tests.formats.builders import (
    voc_object,
    voc_xml,
    write_image,
    write_split,
    write_voc,
)
from tests.shared import SHARED, needs_shared
from vision.errors import DataError
from vision.formats import Annotations, read_voc

BOX = (11, 6, 30, 20)
DOG = voc_object("dog", BOX)


def read_one(
    folder: Path, *objects: str, size: tuple[object, object] | None = (40, 60)
) -> Annotations:
    """What is read of a folder with one image, of 40 by 60, with these objects."""
    return read_voc(str(write_voc(folder / "voc", {"a": voc_xml(*objects, size=size)})), "train")


# Boxes


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((1, 1, 60, 40), [0, 0, 60, 40]),
        ((11, 6, 30, 20), [10, 5, 30, 20]),
        ((10, 5, 11, 6), [9, 4, 11, 6]),
        ((38.55, 19.2, 55.78, 29.8), [37.55, 18.2, 55.78, 29.8]),
        (("11.0", " 6 ", "3e1", "+20"), [10, 5, 30, 20]),
    ],
)
def test_corners_count_from_1_and_are_inclusive(
    tmp_path: Path, box: tuple[float | str, ...], expected: list[float]
) -> None:
    """The devkit's arithmetic; with 1 taken off all four, boxes are a pixel narrow."""
    found = read_one(tmp_path, voc_object("dog", box))
    np.testing.assert_allclose(found.records[0].boxes, [expected], rtol=1e-6)
    assert found.tally.lines() == []


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 6, 30, 20), [0, 5, 30, 20]),
        ((-5, -5, 30, 20), [0, 0, 30, 20]),
        ((11, 6, 61, 41), [10, 5, 60, 40]),
        ((-100, -100, 1000, 1000), [0, 0, 60, 40]),
    ],
)
def test_boxes_are_cut_at_the_border_and_counted(
    tmp_path: Path, box: tuple[float, ...], expected: list[float]
) -> None:
    found = read_one(tmp_path, voc_object("dog", box))
    assert found.records[0].boxes.tolist() == [expected]
    (line,) = found.tally.lines()
    assert line.startswith("boxes clipped to the image: 1 (")
    assert line.endswith("a.jpg)")


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        # What begins and ends on one pixel is a slip, though by the rule it is a pixel wide.
        ((11, 6, 11, 6), "boxes without area dropped"),
        ((11, 6, 11, 20), "boxes without area dropped"),
        ((11, 6, 30, 6), "boxes without area dropped"),
        (("nan", 6, 30, 20), "boxes without area dropped"),
        ((11, 6, "inf", 20), "boxes without area dropped"),
        ((61, 6, 70, 20), "boxes outside their image dropped"),
        ((11, 41, 30, 60), "boxes outside their image dropped"),
        ((-20, 6, 0, 20), "boxes outside their image dropped"),
    ],
)
def test_degenerate_boxes_are_dropped_and_counted(
    tmp_path: Path, box: tuple[float | str, ...], kind: str
) -> None:
    """The most frequent cause of a loss that is not finite."""
    found = read_one(tmp_path, voc_object("cat", box), DOG, voc_object("cat", box))
    assert found.records[0].names == ("dog",)
    assert found.records[0].boxes.tolist() == [[10, 5, 30, 20]]
    assert found.tally.lines() == [f"{kind}: 2 (first: {tmp_path / 'voc/JPEGImages/a.jpg'})"]
    assert found.names == ["dog"]


def test_an_image_without_objects_is_kept(tmp_path: Path) -> None:
    """It teaches background; its boxes have the shape (0, 4), not (0,): "too many indices"."""
    found = read_voc(str(write_voc(tmp_path / "voc", {"a": voc_xml(DOG), "b": voc_xml()})), "train")
    empty = found.records[1]
    assert empty.boxes.shape == (0, 4)
    assert (empty.ignore.shape, empty.areas.shape, empty.names) == ((0,), (0,), ())
    target = empty.target({"dog": 0})
    assert (tuple(target.boxes.shape), target.size) == ((0, 4), (40, 60))


def test_parts_of_an_object_are_no_objects(tmp_path: Path) -> None:
    """VOC's person layout lists head and hands inside a person, with names and boxes."""
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    before = f"<object>{part}<name>person</name>" + DOG.removeprefix("<object><name>dog</name>")
    found = read_one(tmp_path, voc_object("person", BOX, extra=part), before)
    assert found.records[0].names == ("person", "person")
    assert found.records[0].boxes.tolist() == [[10, 5, 30, 20]] * 2
    assert found.names == ["person"]


# Names and flags


def test_class_names_are_kept_exactly(tmp_path: Path) -> None:
    """Objects whose names have capitals or spaces must not vanish."""
    names = ("traffic light", "Dog", "dog", "TV  set", "  é\n", "no")
    found = read_one(tmp_path, *(voc_object(name, BOX) for name in names))
    assert found.records[0].names == ("traffic light", "Dog", "dog", "TV  set", "é", "no")
    assert found.names == sorted({"traffic light", "Dog", "dog", "TV  set", "é", "no"})


@pytest.mark.parametrize(
    ("difficult", "ignored"),
    [(None, False), ("", False), ("0", False), ("1", True), (" 1 ", True), ("Unspecified", False)],
)
def test_difficult_objects_are_ignored_and_a_missing_tag_means_no(
    tmp_path: Path, difficult: str | None, ignored: bool
) -> None:
    """Many tools write none."""
    (found,) = read_one(tmp_path, voc_object("dog", BOX, difficult)).records
    assert found.ignore.tolist() == [ignored]
    assert found.crowd.tolist() == [False]
    assert found.areas.tolist() == [20 * 15]


# Sizes


@pytest.mark.parametrize(
    "size", [None, ("", ""), (0, 0), ("x", 60), ("nan", "inf"), ("40.0", "60.0")]
)
def test_an_absent_size_is_taken_from_the_image(
    tmp_path: Path, size: tuple[object, object] | None
) -> None:
    found = read_one(tmp_path, DOG, size=size)
    assert found.records[0].size == (40, 60)
    assert found.tally.lines() == []


def test_a_wrong_size_is_counted_and_the_image_believed(tmp_path: Path) -> None:
    found = read_one(tmp_path, voc_object("dog", (50, 1, 80, 20)), size=(100, 100))
    assert found.records[0].size == (40, 60)
    assert found.records[0].boxes.tolist() == [[49, 0, 60, 20]]
    assert "images of another size than their annotation states: 1" in found.tally.lines()[0]


# Forms of boxes, encodings and names of tools


@pytest.mark.parametrize(
    "box", [(30, 6, 11, 20), (11, 20, 30, 6), (30, 20, 11, 6)], ids=["left", "up", "both"]
)
def test_swapped_corners_are_put_right_and_counted(tmp_path: Path, box: tuple[int, ...]) -> None:
    found = read_one(tmp_path, voc_object("dog", box))
    assert found.records[0].boxes.tolist() == [[10, 5, 30, 20]]
    assert found.tally.counts == {"boxes whose corners were swapped": 1}


@pytest.mark.parametrize(
    ("polygon", "box"),
    [
        ("<x1>11</x1><y1>6</y1><x2>30</x2><y2>6</y2><x3>20</x3><y3>20</y3>", [10, 5, 30, 20]),
        (
            "<pt><x>11</x><y>6</y></pt><pt><x>30.5</x><y>20</y></pt><pt><x>12</x><y>9</y></pt>",
            [10, 5, 30.5, 20],
        ),
    ],
)
def test_polygons_become_boxes(tmp_path: Path, polygon: str, box: list[float]) -> None:
    found = read_one(tmp_path, f"<object><name>dog</name><polygon>{polygon}</polygon></object>")
    assert found.records[0].boxes.tolist() == [box]
    assert found.tally.counts == {"polygons turned into their boxes": 1}


def test_beside_a_box_a_polygon_does_not_count(tmp_path: Path) -> None:
    found = read_one(tmp_path, voc_object("dog", BOX, extra="<polygon><x1>1</x1></polygon>"))
    assert found.records[0].boxes.tolist() == [[10, 5, 30, 20]]
    assert found.tally.lines() == []


@pytest.mark.parametrize(
    ("angle", "box"),
    [
        ("0", [20, 10, 40, 20]),
        ("1.5707963267948966", [25, 5, 35, 25]),
        ("3.141592653589793", [20, 10, 40, 20]),
        ("0.7853981633974483", [19.393, 4.393, 40.607, 25.607]),
        ("2.356194490192345", [19.393, 4.393, 40.607, 25.607]),
    ],
)
def test_rotated_boxes_become_upright(tmp_path: Path, angle: str, box: list[float]) -> None:
    """As roLabelImg writes them: the box around the four corners."""
    sides = "<cx>30</cx><cy>15</cy><w>20</w><h>10</h>"
    rotated = f"<robndbox>{sides}<angle>{angle}</angle></robndbox>"
    found = read_one(tmp_path, f"<object><name>dog</name>{rotated}</object>")
    np.testing.assert_allclose(found.records[0].boxes, [box], atol=1e-3)
    assert found.tally.counts == {"rotated boxes turned into their upright ones": 1}


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("<polygon></polygon>", "a polygon whose points have numbers as x"),
        ("<polygon><x1>1</x1></polygon>", "a polygon whose points have numbers as y"),
        ("<polygon><x1>a</x1><y1>2</y1></polygon>", "a polygon whose points have numbers as x"),
        ("<robndbox><cx>1</cx></robndbox>", "a robndbox of the numbers cx, cy, w, h, angle"),
        (
            "<robndbox><cx>1</cx><cy>1</cy><w>1</w><h>1</h><angle>nan</angle></robndbox>",
            "a robndbox of the numbers",
        ),
        (
            "<bndbox><xmin>1;5</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>",
            "a bndbox of the numbers xmin, ymin, xmax, ymax, found ['1;5', '1', '9', '9']",
        ),
    ],
)
def test_refuses_shapes_without_numbers(tmp_path: Path, shape: str, said: str) -> None:
    root = write_voc(tmp_path / "voc", {"a": voc_xml(f"<object><name>dog</name>{shape}</object>")})
    line = refusal(root)
    assert str(root / "Annotations" / "a.xml") in line
    assert f"object dog needs {said}" in line


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("gb2312", "猫"),
        ("GBK", "貓"),
        ("gb18030", "\U00020000"),
        ("big5", "貓"),
        ("shift_jis", "ネコ"),
        ("euc-kr", "고양이"),
        ("windows-1252", "œuf"),
        ("iso-8859-1", "Größe"),
        ("utf-16", "猫"),
        ("utf-8-sig", "猫"),
    ],
)
def test_encodings(tmp_path: Path, encoding: str, name: str) -> None:
    root = write_voc(tmp_path / "voc", {"a": ""})
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    text = f'<?xml version="1.0" encoding="{declared}"?>{voc_xml(voc_object(name, BOX))}'
    (root / "Annotations" / "a.xml").write_bytes(text.encode(encoding))
    found = read_voc(str(root), "train").check()
    assert found.names == [name]
    assert found.records[0].boxes.tolist() == [[10, 5, 30, 20]]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<annotation>", '<annotation xmlns="http://tool.example/a">'),
        ("<annotation>", '<annotation xmlns:t="http://tool.example/a" t:version="1">'),
    ],
)
def test_namespaces_do_not_hide_objects(tmp_path: Path, before: str, after: str) -> None:
    root = write_voc(tmp_path / "voc", {"a": voc_xml(DOG).replace(before, after)})
    (found,) = read_voc(str(root), "train").check().records
    assert found.names == ("dog",)
    assert found.size == (40, 60)


def test_prefixes_of_namespaces_do_not_hide_objects(tmp_path: Path) -> None:
    xml = re.sub("<(/?)", r"<\1v:", voc_xml(DOG)).replace(
        "<v:annotation>", '<v:annotation xmlns:v="x">'
    )
    (found,) = read_voc(str(write_voc(tmp_path / "voc", {"a": xml})), "train").check().records
    assert found.names == ("dog",)


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_of_files_are_compared_in_one_form_of_unicode(
    tmp_path: Path, forms: tuple[Literal["NFC", "NFD"], Literal["NFC", "NFD"]]
) -> None:
    """A zip packed on a Mac has another form of them than the list in it."""
    listed, stored = (unicodedata.normalize(form, "Größe é") for form in forms)
    root = write_voc(tmp_path / "voc", {stored: voc_xml(DOG)})
    write_split(root, listed)
    (root / "JPEGImages" / f"{stored}.jpg").rename(root / "JPEGImages" / f"{listed}.jpg")
    (found,) = read_voc(str(root), "train").check().records
    assert found.names == ("dog",)


@pytest.mark.parametrize("lines", ["one/a\ntwo/a\n", "one/a.jpg\ntwo/a.jpg 1\n", None])
def test_folders_inside_of_folders(tmp_path: Path, lines: str | None) -> None:
    """CVAT keeps those of a task."""
    root = tmp_path / "voc"
    for number, name in enumerate(("one/a", "two/a"), start=1):
        write_image(root / "JPEGImages" / f"{name}.jpg")
        path = root / "Annotations" / f"{name}.xml"
        path.parent.mkdir(parents=True)
        path.write_text(voc_xml(*[DOG] * number))
    if lines is None:
        folders = {"annotations": str(root / "Annotations"), "images": str(root / "JPEGImages")}
        found = read_voc(**folders).check()
    else:
        write_split(root, lines)
        found = read_voc(str(root), "train").check()
    paths = [str(root / "JPEGImages" / name) for name in ("one/a.jpg", "two/a.jpg")]
    assert [record.image_id for record in found.records] == paths
    assert [len(record.names) for record in found.records] == [1, 2]


def test_labelimgs_folder(tmp_path: Path) -> None:
    """XML beside the images, with paths of another machine; an image without XML is counted."""
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.jpg")
    tags = "<folder>x</folder><path>C:\\me\\x\\a.jpg</path>"
    xml = voc_xml(DOG).replace("<annotation>", f"<annotation>{tags}")
    (tmp_path / "a.xml").write_text(xml)
    found = read_voc(annotations=str(tmp_path), images=str(tmp_path)).check()
    assert [record.image_id for record in found.records] == [str(tmp_path / "a.jpg")]
    assert found.tally.places == {"images without an XML file left out": [str(tmp_path / "b.jpg")]}


def test_decimal_commas_are_a_fault_that_a_repaired_copy_lacks(tmp_path: Path) -> None:
    box = voc_object("dog", (11, 6, 30, 20)).replace("<xmin>11<", "<xmin>11,5<")
    found = read_one(tmp_path, box)
    with pytest.raises(DataError, match=r"a.xml has decimal commas"):
        found.check()
    assert found.records[0].boxes.tolist() == [[10.5, 5, 30, 20]]


@pytest.mark.parametrize(
    "tags",
    [
        "<filename>IMG 1.jpg</filename>",
        "<filename>IMG%201.jpg</filename>",
        "<filename>none</filename><path>C:\\me\\IMG 1.jpg</path>",
    ],
)
def test_an_image_of_another_stem_is_the_one_that_is_named(tmp_path: Path, tags: str) -> None:
    root = write_voc(
        tmp_path / "voc", {"a": voc_xml(DOG).replace("<annotation>", f"<annotation>{tags}")}
    )
    (root / "JPEGImages" / "a.jpg").rename(root / "JPEGImages" / "IMG 1.jpg")
    (found,) = read_voc(str(root), "train").check().records
    assert Path(found.image_id).name == "IMG 1.jpg"


def test_the_home_folder_and_absolute_paths_in_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_voc(tmp_path / "voc", {"a": voc_xml(DOG)})
    assert len(read_voc("~/voc", "train").records) == 1
    with pytest.raises(DataError, match=f"^VOC root {tmp_path}/voc has no ImageSets/Main/val.txt"):
        read_voc("~/voc", "val")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"^VOC root {tmp_path}/voc has no ImageSets/Main/val.txt"):
        read_voc("voc", "val")


def test_an_image_in_a_format_that_is_not_read_is_named(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", {"a": voc_xml(DOG)})
    image = root / "JPEGImages" / "a.jpg"
    image.unlink()
    image.with_suffix(".heic").write_bytes(b"\0\0\0\x18ftypheic")
    assert refusal(root).startswith(f"image {image.with_suffix('.heic')}: .heic files are not read")


def test_an_image_whose_end_is_missing_is_used_and_counted(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", {name: voc_xml(DOG) for name in "ab"})
    for name, part in (("a", 0.98), ("b", 0.5)):
        image = root / "JPEGImages" / f"{name}.jpg"
        image.write_bytes(image.read_bytes()[: int(part * image.stat().st_size)])
    found = read_voc(str(root), "train")
    assert [Path(record.image_id).name for record in found.records] == ["a.jpg"]
    assert found.records[0].load().shape == (40, 60, 3)
    assert found.tally.counts == {"images whose end is missing": 1}
    assert [(fault.kind, Path(fault.where).name) for fault in found.faults] == [
        ("unreadable image", "b.jpg")
    ]


# Files


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".JPG", ".jpeg", ".bmp"])
def test_any_image_suffix_will_do(tmp_path: Path, suffix: str) -> None:
    """Not only ``.jpg``; the name may hold dots."""
    root = write_voc(tmp_path / "voc", {"a.b": voc_xml(DOG)}, suffix=suffix)
    (found,) = read_voc(str(root), "train").records
    assert found.image_id == str(root / "JPEGImages" / f"a.b{suffix}")
    assert found.read().shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n\n  \nb\n", ["a", "b"]),
        ("b\r\na\r\n", ["b", "a"]),
        ("\ufeffa\nb", ["a", "b"]),
        ("a -1\nb  1\nmy photo 0\n", ["a", "b", "my photo"]),
        ("my photo\n  a  \nmy photo 2 1", ["my photo", "a", "my photo 2 1"]),
        ("a.jpg\nb.png\nmy photo.jpg", ["a", "b", "my photo"]),
        ("a.jpg 1\nJPEGImages/b.jpg", ["a", "b"]),
    ],
)
def test_split_files_in_their_many_forms(tmp_path: Path, text: str, expected: list[str]) -> None:
    """Blank lines, columns of the class lists, names with spaces or suffixes."""
    stems = ("a", "b", "my photo", "my photo 2 1")
    root = write_voc(tmp_path / "voc", dict.fromkeys(stems, voc_xml(DOG)))
    write_split(root, text)
    found = read_voc(str(root), "train")
    assert [Path(record.image_id).stem for record in found.records] == expected


def test_of_two_images_of_a_stem_the_annotation_says_which(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", {"a": voc_xml(DOG, filename="a.png")})
    write_image(root / "JPEGImages" / "a.png")
    (found,) = read_voc(str(root), "train").records
    assert Path(found.image_id).name == "a.png"


def test_of_one_image_its_name_in_the_annotation_does_not_matter(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", {"a": voc_xml(DOG, filename="IMG_1.jpg")})
    (found,) = read_voc(str(root), "train").records
    assert Path(found.image_id).name == "a.jpg"


@pytest.mark.parametrize("absolute", [False, True])
def test_other_folders_below_the_root_or_as_paths(tmp_path: Path, absolute: bool) -> None:
    root = write_voc(
        tmp_path / "voc", {"a": voc_xml(DOG)}, annotations="boxes/xml", images="pictures"
    )
    names = [str(root / name) if absolute else name for name in ("boxes/xml", "pictures")]
    (found,) = read_voc(str(root), "train", annotations=names[0], images=names[1]).records
    assert found.image_id == str(root / "pictures" / "a.jpg")
    assert found.names == ("dog",)


def test_other_folders_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_voc(tmp_path / "voc", {"a": voc_xml(DOG)})
    (root / "JPEGImages").rename(tmp_path / "pictures")
    monkeypatch.chdir(tmp_path)
    (found,) = read_voc("voc", "train", images="pictures").records
    assert found.image_id == str(Path("pictures") / "a.jpg")


@pytest.mark.parametrize("with_root", [False, True])
def test_without_a_split_all_annotations_of_the_folder_are_read_in_order(
    tmp_path: Path, with_root: bool
) -> None:
    """But for what is hidden, as a Mac leaves beside each file."""
    root = write_voc(tmp_path / "voc", {name: voc_xml(DOG) for name in ("b", "a", "c")})
    write_image(root / "JPEGImages" / "unlabelled.jpg")
    for name in ("._a.xml", "classes.txt"):
        (root / "Annotations" / name).write_bytes(b"\0")
    (root / "ImageSets" / "Main" / "train.txt").unlink()
    if with_root:
        found = read_voc(str(root), annotations="Annotations", images="JPEGImages")
    else:
        found = read_voc(annotations=str(root / "Annotations"), images=str(root / "JPEGImages"))
    assert [Path(record.image_id).name for record in found.records] == ["a.jpg", "b.jpg", "c.jpg"]
    assert found.names == ["dog"]


# Refusals


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"root": "r"},
        {"split": "s"},
        {"root": "r", "annotations": "a"},
        {"split": "s", "annotations": "a", "images": "i"},
        {"annotations": "", "images": ""},
    ],
)
def test_refuses_less_than_it_needs(given: dict[str, str]) -> None:
    with pytest.raises(DataError, match=r"^VOC data: give root and split, or annotations and im"):
        read_voc(**given)


def test_refuses_folders_without_a_split_that_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"^{tmp_path} has no XML files$"):
        read_voc(annotations=str(tmp_path), images=str(tmp_path))
    with pytest.raises(
        DataError, match=f"^VOC data: there is no folder {Path('nowhere').absolute()}$"
    ):
        read_voc(annotations="nowhere", images=str(tmp_path))


def refusal(root: Path, split: str = "train", **folders: str) -> str:
    """The one line by which a folder is refused."""
    with pytest.raises(DataError) as caught:
        read_voc(str(root), split, **folders).check()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_refuses_a_missing_split_and_lists_those_there_are(tmp_path: Path) -> None:
    assert "has no ImageSets/Main/train.txt" in refusal(tmp_path / "nowhere")
    root = write_voc(tmp_path / "voc", {"a": voc_xml(DOG)})
    write_split(root, "a", "val")
    said = refusal(root, "trian")
    assert said.startswith(f"VOC root {root} has no ImageSets/Main/trian.txt")
    assert said.endswith("one of its splits: train, val")


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_refuses_an_empty_split(tmp_path: Path, text: str) -> None:
    root = write_voc(tmp_path / "voc", {"a": voc_xml(DOG)})
    file = write_split(root, text)
    assert refusal(root) == f"{file} lists no images"


def test_refuses_a_split_that_is_not_text(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", {"a": voc_xml(DOG)})
    file = write_split(root, b"a\n\xff\xfe\n")
    assert str(file) in refusal(root)


@pytest.mark.parametrize("folder", ["Annotations", "JPEGImages"])
def test_refuses_a_missing_folder(tmp_path: Path, folder: str) -> None:
    root = write_voc(tmp_path / "voc", {"a": voc_xml(DOG)})
    (root / folder).rename(root / "other")
    assert refusal(root) == f"VOC root {root} has no folder {folder}"
    assert refusal(root, annotations="x", images="x") == f"VOC root {root} has no folder x"


def test_refuses_a_missing_annotation(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", {"a": voc_xml(DOG)})
    file = write_split(root, "a\nb\n")
    said = refusal(root)
    assert said == f"{file} names b, but {root / 'Annotations' / 'b.xml'} does not exist"


def test_refuses_a_missing_image(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", {"a": voc_xml(DOG)})
    (root / "JPEGImages" / "a.jpg").rename(root / "JPEGImages" / "a.txt")
    assert refusal(root).startswith(f"annotation {root / 'Annotations' / 'a.xml'} has no image")


@pytest.mark.parametrize("filename", [None, "a.gif", "b.jpg"])
def test_refuses_two_images_that_fit(tmp_path: Path, filename: str | None) -> None:
    root = write_voc(tmp_path / "voc", {"a": voc_xml(DOG, filename=filename)})
    write_image(root / "JPEGImages" / "a.png")
    said = refusal(root)
    assert said.startswith(f"annotation {root / 'Annotations' / 'a.xml'} matches several images")
    assert "a.jpg, a.png" in said


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"no image"])
def test_refuses_a_broken_image(tmp_path: Path, content: bytes) -> None:
    """When the data are listed, not when training comes to it."""
    root = write_voc(tmp_path / "voc", {"a": voc_xml(DOG)})
    (root / "JPEGImages" / "a.jpg").write_bytes(content)
    assert str(root / "JPEGImages" / "a.jpg") in refusal(root)


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><annotation>&b;</annotation>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><annotation>&a;</annotation>'
BROKEN = [
    "",
    "garbage",
    "{}",
    "<annotation>",
    voc_xml(DOG)[:-20],
    '<?xml version="1.0" encoding="nowhere"?><annotation/>',
    BOMB,
    OUTSIDE,
]


@pytest.mark.parametrize("xml", BROKEN)
def test_refuses_an_annotation_that_is_no_xml_or_a_bomb(tmp_path: Path, xml: str) -> None:
    root = write_voc(tmp_path / "voc", {"a": xml})
    file = root / "Annotations" / "a.xml"
    assert refusal(root).startswith(f"annotation {file} cannot be read as XML: ")


def test_refuses_an_annotation_in_a_wrong_encoding(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", {"a": ""})
    (root / "Annotations" / "a.xml").write_bytes(voc_xml(voc_object("é", BOX)).encode("latin-1"))
    assert str(root / "Annotations" / "a.xml") in refusal(root)


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (voc_object(None, BOX), "has an object without a name"),
        (voc_object("", BOX), "has an object without a name"),
        (voc_object("  ", BOX), "has an object without a name"),
        (voc_object("dog", ("x", 6, 30, 20)), "object dog needs a bndbox of the numbers"),
        (voc_object("dog", ("", 6, 30, 20)), "object dog needs a bndbox of the numbers"),
        (voc_object("dog", ("1;5", 6, 30, 20)), "object dog needs a bndbox of the numbers"),
        ("<object><name>dog</name></object>", "object dog needs a bndbox of the numbers"),
        (
            "<object><name>dog</name><bndbox><xmin>1</xmin></bndbox></object>",
            "object dog needs a bndbox of the numbers",
        ),
    ],
)
def test_refuses_an_object_that_cannot_be_understood(tmp_path: Path, item: str, said: str) -> None:
    root = write_voc(tmp_path / "voc", {"a": voc_xml(DOG, item)})
    told = refusal(root)
    assert str(root / "Annotations" / "a.xml") in told
    assert said in told


# Real data


@needs_shared
@pytest.mark.parametrize(
    ("split", "images"), [("train", 205), ("val", 87), ("trainval", 292), ("test", 72)]
)
def test_bccd(split: str, images: int) -> None:
    found = read_voc(str(SHARED / "data" / "bccd"), split)
    assert len(found.records) == images
    assert found.names == ["Platelets", "RBC", "WBC"]


@needs_shared
def test_the_two_degenerate_boxes_of_bccd_are_counted() -> None:
    found = Annotations()
    for split in ("trainval", "test"):
        found.add(read_voc(str(SHARED / "data" / "bccd"), split))
    assert len(found.records) == 364
    assert sum(found.count().values()) == 4888 - 2
    assert dict(found.tally.counts) == {"boxes without area dropped": 2}


@pytest.mark.slow
@needs_shared
def test_voc07() -> None:
    found = Annotations()
    for split, images in (("train", 3500), ("val", 700)):
        part = read_voc(str(SHARED / "data" / "voc07"), split)
        assert len(part.records) == images
        found.add(part)
    assert len(found.names) == 20
    assert found.tally.lines() == []
    assert sum(found.count().values()) == 12644
    ignored = sum(int(record.ignore.sum()) for record in found.records)
    assert 1000 < ignored < 4000


@needs_shared
def test_voc12_animals_has_webp_pictures() -> None:
    found = read_voc(str(SHARED / "data" / "voc12_animals"), "train")
    assert (len(found.records), sum(found.count().values())) == (1105, 2742)
    record = found.records[0]
    assert record.image_id.endswith(".webp")
    assert record.read().shape == (*record.size, 3)


@pytest.mark.parametrize("line", ["/", ".", "./", "/ 1"])
def test_a_line_that_is_no_name_is_refused(tmp_path: Path, line: str) -> None:
    root = write_voc(tmp_path, {"a": voc_xml()})
    write_split(root, f"a\n{line}\n")
    with pytest.raises(DataError, match=r"train\.txt names .*does not exist"):
        read_voc(str(root), "train")
