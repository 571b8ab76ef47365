"""Records: the image as its boxes were drawn on, and accounts of what was dropped."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.builders import (
    TURNED,
    record,
    voc_object,
    voc_xml,
    write_coco,
    write_image,
    write_voc,
)
from vision.errors import DataError
from vision.formats import (
    AnnotatedObject,
    Annotations,
    Record,
    Tally,
    make_record,
    read_coco,
    read_voc,
)
from vision.images import read_image

DOG = AnnotatedObject("dog", (10, 5, 30, 20))
CROWD = AnnotatedObject("cat", (0, 0, 8, 8), ignore=True, crowd=True, area=12.5)


def made(path: Path, *objects: AnnotatedObject) -> Record:
    return record(write_image(path / "a.png"), *objects)


# Targets


def test_an_image_without_objects_makes_a_target_without_boxes(tmp_path: Path) -> None:
    target = made(tmp_path).target({"dog": 0})
    assert tuple(target.boxes.shape) == (0, 4)
    assert target.boxes.dtype == torch.float32
    assert target.labels.dtype == torch.int64
    assert (target.size, target.image_id) == ((40, 60), str(tmp_path / "a.png"))


def test_a_target_holds_all_that_is_known_of_each_object(tmp_path: Path) -> None:
    target = made(tmp_path, DOG, CROWD).target({"cat": 4, "dog": 2})
    assert target.boxes.tolist() == [[10, 5, 30, 20], [0, 0, 8, 8]]
    assert target.labels.tolist() == [2, 4]
    assert target.ignore.tolist() == target.crowd.tolist() == [False, True]
    assert target.areas.tolist() == [300, 12.5]


@pytest.mark.parametrize(
    ("labels", "expected"), [({}, []), ({"zebra": 0}, []), ({"cat": 0}, [0]), ({"dog": 7}, [7])]
)
def test_a_target_leaves_out_classes_without_a_label(
    tmp_path: Path, labels: dict[str, int], expected: list[int]
) -> None:
    target = made(tmp_path, DOG, CROWD).target(labels)
    assert target.labels.tolist() == expected
    assert len(target.boxes) == len(target.ignore) == len(target.areas) == len(expected)
    if "cat" in labels:
        assert (target.crowd.tolist(), target.areas.tolist()) == ([True], [12.5])


def test_a_record_can_be_sent_to_another_process(tmp_path: Path) -> None:
    first = made(tmp_path, DOG)
    second = pickle.loads(pickle.dumps(first))  # noqa: S301
    assert np.array_equal(first.read(), second.read())
    assert first.boxes.tolist() == second.boxes.tolist()


# EXIF


@pytest.mark.parametrize(
    ("annotated", "size", "reported"),
    [
        (None, (60, 40), 0),
        ((60, 40), (60, 40), 0),
        ((40, 60), (40, 60), 0),
        ((50, 50), (60, 40), 1),
    ],
)
def test_a_photograph_is_turned_as_its_boxes_were_drawn(
    tmp_path: Path, annotated: tuple[int, int] | None, size: tuple[int, int], reported: int
) -> None:
    """A photograph of 40 by 60 as stored, to be shown a quarter turn clockwise (as yolov5 #405)."""
    path = write_image(tmp_path / "a.jpg", 40, 60, orientation=TURNED)
    plain = read_image(write_image(tmp_path / "plain.jpg", 40, 60))
    found = Annotations()
    box = (0.0, 0.0, 100.0, 100.0)
    one = record(path, AnnotatedObject("a", box), annotated_size=annotated, into=found)
    assert one.size == one.read().shape[:2] == size
    assert one.boxes.tolist() == [[0, 0, size[1], size[0]]]
    expected = plain if size == (40, 60) else np.rot90(plain, -1)
    assert np.array_equal(one.read(), expected)
    what = "images of another size than their annotation states"
    assert found.tally.counts[what] == reported
    assert found.tally.places.get(what, []) == [str(path)] * reported


@pytest.mark.parametrize("size", [(40, 60), (60, 40)])
def test_both_formats_turn_photographs_as_annotated(tmp_path: Path, size: tuple[int, int]) -> None:
    voc = write_voc(tmp_path / "voc", {"a": voc_xml(voc_object("dog", (1, 1, 5, 5)), size=size)})
    image = {"id": 1, "file_name": "a.jpg", "height": size[0], "width": size[1]}
    coco = write_coco(tmp_path / "coco", {"images": [image], "categories": [], "annotations": []})
    for path in (voc / "JPEGImages" / "a.jpg", coco / "train" / "a.jpg"):
        write_image(path, 40, 60, orientation=TURNED)
    for found in (read_voc(str(voc), "train"), read_coco(str(coco), "train")):
        assert found.records[0].size == found.records[0].read().shape[:2] == size
        assert found.tally.lines() == []


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_the_size_without_decoding_is_that_of_the_image(tmp_path: Path, orientation: int) -> None:
    path = write_image(tmp_path / "a.jpg", 40, 60, orientation=orientation)
    for annotated in (None, (40, 60), (60, 40), (1, 1)):
        one = record(path, annotated_size=annotated)
        assert one.read().shape[:2] == one.size


# Boxes

SIDES = st.floats(-100, 200) | st.sampled_from([0.0, 40.0, 60.0, float("nan"), float("inf")])


@given(st.tuples(SIDES, SIDES, SIDES, SIDES))
def test_each_box_is_kept_inside_with_an_area_or_counted(
    tmp_path_factory: pytest.TempPathFactory, box: tuple[float, float, float, float]
) -> None:
    path = tmp_path_factory.getbasetemp() / "each_box.png"
    if not path.exists():
        write_image(path)
    tally = Tally()
    boxes = make_record(path, None, [AnnotatedObject("a", box)], tally).boxes
    dropped = sum(count for what, count in tally.counts.items() if what.endswith("dropped"))
    assert len(boxes) + dropped == 1
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= (60, 40)).all()
    assert (boxes[:, :2] < boxes[:, 2:]).all()


def test_refuses_an_image_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"^image {tmp_path / 'a.png'} cannot be opened: No such"):
        record(tmp_path / "a.png")


# Accounts


def test_an_empty_account_has_no_lines() -> None:
    assert Tally().lines() == []
    assert Annotations().count() == {}


def test_an_account_counts_and_keeps_the_first_place() -> None:
    tally, other = Tally(), Tally()
    tally.note("boxes dropped", "a.xml")
    tally.note("images turned", Path("b.jpg"))
    other.note("boxes dropped", "c.xml")
    other.note("cats", "d.xml")
    tally.add(other)
    assert tally.lines() == [
        "boxes dropped: 2 (first: a.xml)",
        "images turned: 1 (b.jpg)",
        "cats: 1 (d.xml)",
    ]
    assert tally.places["boxes dropped"] == ["a.xml", "c.xml"]


def test_what_cannot_be_read_is_a_fault_and_the_others_are_read(tmp_path: Path) -> None:
    root = write_voc(tmp_path, dict.fromkeys("abcd", voc_xml()))
    (root / "Annotations" / "a.xml").write_text("<annotation>")
    (root / "JPEGImages" / "c.jpg").write_bytes(b"no image")
    found = read_voc(str(root), "train")
    assert [Path(one.image_id).name for one in found.records] == ["b.jpg", "d.jpg"]
    assert [(fault.kind, Path(fault.where).name) for fault in found.faults] == [
        ("invalid annotation", "a.xml"),
        ("unreadable image", "c.jpg"),
    ]
    with pytest.raises(DataError) as caught:
        found.check()
    assert str(caught.value) == (f"{found.faults[0].message} (and 1 more; ssdlite check lists all)")


def test_several_sources_are_joined_in_order(tmp_path: Path) -> None:
    first, second = Annotations(names=["dog", "zebra"]), Annotations(names=["ant", "dog"])
    record(write_image(tmp_path / "a.png"), DOG, into=first)
    record(write_image(tmp_path / "b.png"), DOG, CROWD, into=second)
    first.add(second)
    assert [Path(one.image_id).name for one in first.records] == ["a.png", "b.png"]
    assert first.names == ["dog", "zebra", "ant", "cat"]
    assert list(first.count().items()) == [("dog", 2), ("zebra", 0), ("ant", 0), ("cat", 1)]
