"""Several sources, their classes, and what is said of them before training starts."""

from pathlib import Path

import pytest

from tests.formats.builders import voc_object, voc_xml, write_coco, write_voc
from vision.choices import DATA_FORMATS
from vision.config import CocoSource, DataConfig, DataSource, SyntheticSource, VocSource
from vision.data import check_known, choose_classes, describe, read_sources
from vision.errors import ConfigError, DataError
from vision.formats import Annotations

BOX = (11, 6, 30, 20)


def voc(folder: Path, *names: str) -> VocSource:
    """A VOC folder of two images: one with an object of each name, and one without objects."""
    files = {"a": voc_xml(*(voc_object(name, BOX) for name in names)), "b": voc_xml()}
    return VocSource(format="voc", root=str(write_voc(folder, files)), split="train")


def coco(folder: Path, *names: str, iscrowd: int = 1) -> CocoSource:
    """A COCO folder of one image with a crowd of each name, and the category ``unused``."""
    content = {
        "images": [{"id": 1, "file_name": "c.jpg"}],
        "categories": [{"id": i, "name": name} for i, name in enumerate(("unused", *names))],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": i, "bbox": [1, 2, 3, 4], "iscrowd": iscrowd}
            for i in range(1, len(names) + 1)
        ],
    }
    return CocoSource(format="coco", root=str(write_coco(folder, content)), split="train")


def found_with(tmp_path: Path, *names: str) -> Annotations:
    return read_sources(voc(tmp_path / "voc", *names), "data.train")


# Reading


@pytest.mark.parametrize("sources", [None, []])
def test_refuses_no_source(sources: list[DataSource] | None) -> None:
    remedy = r"--data FOLDER, or 'data\.val={format: voc, root: VOC2007, split: val}'$"
    with pytest.raises(ConfigError, match=rf"^data\.val is missing; name the data with {remedy}"):
        read_sources(sources, "data.val")


def test_one_source_and_a_list_of_one_are_the_same(tmp_path: Path) -> None:
    source = voc(tmp_path / "voc", "dog", "cat")
    first, second = read_sources(source, "x"), read_sources([source], "x")
    assert first.names == second.names == ["cat", "dog"]
    ids = [[record.image_id for record in found.records] for found in (first, second)]
    assert ids[0] == ids[1]


def test_each_format_can_be_read_and_sources_join(tmp_path: Path) -> None:
    sources: list[DataSource] = [
        voc(tmp_path / "voc", "dog", "cat"),
        coco(tmp_path / "coco", "dog", "zebra"),
        SyntheticSource(format="synthetic", num_images=2, image_size=(64, 96)),
    ]
    assert {source.format for source in sources} <= set(DATA_FORMATS)
    found = read_sources(sources, "data.train")
    assert [Path(record.image_id).name for record in found.records[:3]] == [
        "a.jpg",
        "b.jpg",
        "c.jpg",
    ]
    assert [record.size for record in found.records[3:]] == [(64, 96)] * 2
    assert found.names[:4] == ["cat", "dog", "unused", "zebra"]
    assert len(found.names) == len(set(found.names)) > 4
    counts = found.count()
    assert [counts[name] for name in found.names[:4]] == [1, 2, 0, 1]


def test_other_folders_are_those_of_the_source(tmp_path: Path) -> None:
    root = write_voc(tmp_path, {"a": voc_xml()}, annotations="xml", images="pictures")
    source = VocSource(
        format="voc", root=str(root), split="train", annotations="xml", images="pictures"
    )
    assert len(read_sources(source, "data.train").records) == 1


def test_what_was_dropped_is_counted_over_all_sources(tmp_path: Path) -> None:
    bad = voc_xml(voc_object("dog", (30, 6, 30, 20)))
    sources: list[DataSource] = [
        VocSource(format="voc", root=str(write_voc(tmp_path / name, {"a": bad})), split="train")
        for name in ("x", "y")
    ]
    first = tmp_path / "x" / "JPEGImages" / "a.jpg"
    tally = read_sources(sources, "data.train").tally
    assert tally.lines() == [f"boxes without area dropped: 2 (first: {first})"]


# Classes to train


@pytest.mark.parametrize(("flag", "said"), [("iscrowd", "iscrowd"), ("difficult", "difficult")])
def test_data_of_which_all_boxes_are_ignored_are_refused(
    tmp_path: Path, flag: str, said: str
) -> None:
    if flag == "iscrowd":
        source: DataSource = coco(tmp_path, "dog", "cat")
    else:
        xml = voc_xml(voc_object("dog", BOX, "1"), voc_object("cat", BOX, "1"))
        source = VocSource(format="voc", root=str(write_voc(tmp_path, {"a": xml})), split="train")
    found = read_sources(source, "data.train")
    both = "dog, cat" if flag == "iscrowd" else "cat, dog"
    with pytest.raises(DataError, match=f"^data.train: all 2 boxes of {both} are flagged {said}"):
        choose_classes(DataConfig(), found)
    (line,) = (line for line in describe(found, found.names, "val") if "warning" in line)
    reason = "classes whose boxes are all difficult or crowds, so none counts: "
    assert line.startswith(f"  warning: {reason}")
    assert all(name in line for name in ("dog", "cat"))


def test_configured_classes_of_which_all_boxes_are_ignored_are_refused(tmp_path: Path) -> None:
    """Boxes of other classes, which are left out, do not help."""
    xml = voc_xml(voc_object("dog", BOX, "1"), voc_object("cat", BOX))
    source = VocSource(format="voc", root=str(write_voc(tmp_path, {"a": xml})), split="train")
    found = read_sources(source, "data.train")
    assert choose_classes(DataConfig(), found) == (["cat", "dog"], [])
    with pytest.raises(DataError, match=r"^data.train: all 1 boxes of dog are flagged difficult"):
        choose_classes(DataConfig(classes=["dog"]), found)


def test_names_are_compared_in_one_form_of_unicode(tmp_path: Path) -> None:
    """MacOS and some editors write an umlaut as two characters."""
    composed, parted = "Gr\u00f6\u00dfe", "Gro\u0308\u00dfe"
    found = found_with(tmp_path, parted)
    assert found.names == [composed]
    for form in (composed, parted):
        assert choose_classes(DataConfig(classes=[form]), found) == ([composed], [])
        check_known([form], DataConfig(), found, "data.val")


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        (None, ["Dog", "cat", "traffic light"]),
        (["cat"], ["cat"]),
        (["traffic light", "Dog"], ["traffic light", "Dog"]),
        (["zebra", "cat"], ["zebra", "cat"]),
    ],
)
def test_configured_classes_restrict_and_order(
    tmp_path: Path, configured: list[str] | None, expected: list[str]
) -> None:
    found = found_with(tmp_path, "traffic light", "Dog", "cat")
    assert choose_classes(DataConfig(classes=configured), found) == (expected, [])


@pytest.mark.parametrize(
    ("configured", "meant"),
    [("dog", "Dog"), ("Cat", "cat"), ("traffic_light", "traffic light"), ("catt", "cat")],
)
def test_a_configured_class_that_only_its_spelling_parts_from_the_data_is_refused(
    tmp_path: Path, configured: str, meant: str
) -> None:
    """Its objects would vanish without a word."""
    found = found_with(tmp_path, "traffic light", "Dog", "cat")
    with pytest.raises(DataError) as caught:
        choose_classes(DataConfig(classes=[configured]), found)
    assert str(caught.value) == (
        f"data.classes names {configured!r}, which no training box has; did you mean {meant!r}?"
    )


def test_classes_that_differ_by_case_may_both_be_in_the_data(tmp_path: Path) -> None:
    found = found_with(tmp_path, "dog", "Dog")
    assert choose_classes(DataConfig(), found) == (["Dog", "dog"], [])
    assert choose_classes(DataConfig(classes=["dog"]), found) == (["dog"], [])


def test_refuses_data_without_a_class(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="have no box, so there is no class to train"):
        choose_classes(DataConfig(), found_with(tmp_path))


@pytest.mark.parametrize("configured", [None, ["cat"], ["Cat"], ["dog"]])
def test_data_without_a_box_are_not_said_to_have_their_classes(
    configured: list[str] | None,
) -> None:
    """COCO's categories are there without an annotation of them."""
    with pytest.raises(DataError, match=r"^data.train: the images have no box"):
        choose_classes(DataConfig(classes=configured), Annotations(names=["cat"]))


# Classes to evaluate


@pytest.mark.parametrize(
    ("known", "configured", "unknown"),
    [
        (["cat", "dog"], None, []),
        (["dog", "cat", "zebra"], None, []),
        (["cat"], None, ["dog"]),
        (["Cat", "zebra"], None, ["cat", "dog"]),
        (["cat"], ["cat"], []),
        (["cat"], ["cat", "zebra"], ["zebra"]),
    ],
)
def test_the_classes_of_boxes_to_evaluate_must_be_known(
    tmp_path: Path, known: list[str], configured: list[str] | None, unknown: list[str]
) -> None:
    """Indices differ between data sets; names decide."""
    config, found = DataConfig(classes=configured), found_with(tmp_path, "dog", "cat")
    if not unknown:
        check_known(known, config, found, "data.val")
        return
    with pytest.raises(DataError) as caught:
        check_known(known, config, found, "data.val")
    assert str(caught.value) == (
        f"data.val has classes that the detector does not know: {', '.join(unknown)}; it knows"
        f" {', '.join(known)}; list the classes to evaluate in data.classes, or train it on these"
    )


def test_a_class_without_boxes_need_not_be_known(tmp_path: Path) -> None:
    """COCO lists all 80 categories whatever the images show."""
    found = read_sources(coco(tmp_path, "dog"), "data.val")
    assert found.names == ["unused", "dog"]
    check_known(["dog"], DataConfig(), found, "data.val")


@pytest.mark.parametrize(
    ("configured", "known", "expected"),
    [
        (None, [], (["dog"], ["unused"])),
        (None, ["unused"], (["unused", "dog"], [])),
        (None, ["dog", "zebra"], (["dog"], ["unused"])),
        (["dog", "unused"], [], (["dog", "unused"], [])),
    ],
)
def test_a_class_without_boxes_is_kept_only_where_it_is_known_or_configured(
    tmp_path: Path,
    configured: list[str] | None,
    known: list[str],
    expected: tuple[list[str], list[str]],
) -> None:
    found = read_sources(coco(tmp_path, "dog", iscrowd=0), "data.train")
    assert choose_classes(DataConfig(classes=configured), found, known) == expected


# What is said


def test_says_how_many_boxes_each_class_has(tmp_path: Path) -> None:
    sources: list[DataSource] = [
        voc(tmp_path / "voc", "dog", "cat"),
        coco(tmp_path / "coco", "dog"),
    ]
    found = read_sources(sources, "data.train")
    lines = describe(found, found.names, "train")
    assert lines[0].startswith("train: 3 images, 1 of them without objects")
    text = "\n".join(lines)
    assert "3 boxes, 1 of them difficult or crowds" in text
    assert "cat 1, dog 2, unused 0" in text
    assert "left out" not in text


def test_says_what_the_configured_classes_leave_out(tmp_path: Path) -> None:
    """Images that keep no box count as images without objects."""
    found = found_with(tmp_path, "dog", "cat", "cat", "zebra")
    text = "\n".join(describe(found, ["zebra", "ant"], "train"))
    assert "2 images, 1 of them without objects" in text
    assert "1 box, 0 of them difficult or crowds" in text
    assert "zebra 1, ant 0" in text
    assert "3 boxes of other classes left out: cat 2, dog 1" in text
    text = "\n".join(describe(found, ["ant"], "train"))
    assert "2 images, 2 of them without objects" in text


def test_says_what_was_dropped(tmp_path: Path) -> None:
    bad = voc_xml(voc_object("dog", BOX), voc_object("dog", (30, 6, 30, 20)))
    root = str(write_voc(tmp_path, {"a": bad}))
    found = read_sources(VocSource(format="voc", root=root, split="train"), "data.train")
    image = tmp_path / "JPEGImages" / "a.jpg"
    lines = describe(found, found.names, "train")
    assert lines[-1] == f"  boxes without area dropped: 1 ({image})"
