"""``ssdlite convert-data``: what it writes, says and refuses."""

from pathlib import Path

import pytest

from tests.formats.builders import voc_object, voc_xml, write_split, write_voc
from vision.choices import WRITTEN_FORMATS
from vision.cli.main import main
from vision.formats import Annotations, read_data

BOX = (11, 6, 30, 20)


def data(root: Path) -> Path:
    """Three images, one of them with a difficult box, in two splits."""
    objects = {
        "a": [voc_object("dog", BOX), voc_object("cat", BOX, "1")],
        "b": [],
        "c": [voc_object("cat", BOX)],
    }
    write_voc(root, {name: voc_xml(*inner) for name, inner in objects.items()})
    write_split(root, "a\nb\n")
    write_split(root, "c\n", "val")
    return root


def convert(root: Path, name: str, out: Path) -> int:
    return main(["convert-data", str(root), "--to", name, "--out", str(out)])


def boxes(found: Annotations) -> list[list[tuple[str, bool]]]:
    return [list(zip(one.names, one.ignore.tolist(), strict=True)) for one in found.records]


@pytest.mark.parametrize("name", WRITTEN_FORMATS)
def test_all_splits_are_written_and_what_is_lost_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    root, out = data(tmp_path / "voc"), tmp_path / "out"
    (tmp_path / ".out.partial").mkdir()  # of someone else
    assert convert(root, name, out) == 0
    kept = [("dog", False), ("cat", True)]
    expected = [[one for one in kept if name != "yolo" or not one[1]], []]
    train = read_data(name, root=str(out), split="train").check()
    assert boxes(train) == expected
    val = read_data(name, root=str(out), split="val").check()
    assert boxes(val) == [[("cat", False)]]
    assert train.records[0].boxes.tolist()[0] == pytest.approx([10, 5, 30, 20], abs=1e-3)
    if name in {"coco", "yolo"}:  # whose files name classes without a box
        assert train.names == val.names == ["cat", "dog"]
    said = capsys.readouterr().out
    assert "train: 2 images, 2 boxes\n" in said
    assert "val: 1 image, 1 box\n" in said
    assert ("ignored boxes (difficult or crowds) left out: 1" in said) == (name == "yolo")
    assert f"ssdlite train --data {out}\n" in said
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == [
        ".out.partial"
    ]
    assert list((tmp_path / ".out.partial").iterdir()) == []


@pytest.mark.parametrize("other", ["coco", "webdataset"])
def test_converted_twice_nothing_is_lost(tmp_path: Path, other: str) -> None:
    root = data(tmp_path / "voc")
    for name, source, out in ((other, root, "1"), ("voc", tmp_path / "1", "2")):
        assert convert(source, name, tmp_path / out) == 0
    for split in ("train", "val"):
        before, after = (
            read_data("voc", root=str(folder), split=split) for folder in (root, tmp_path / "2")
        )
        assert boxes(before) == boxes(after)
        assert before.names == after.names


@pytest.mark.parametrize("there", ["file", "folder"])
def test_a_folder_that_holds_something_is_not_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str
) -> None:
    out = tmp_path / "out"
    inner = out / "mine.txt" if there == "folder" else out
    inner.parent.mkdir(exist_ok=True)
    inner.write_text("x")
    assert convert(data(tmp_path / "voc"), "coco", out) == 2
    assert "exists and is not an empty folder; name a new folder" in capsys.readouterr().err
    assert inner.read_text() == "x"


def test_a_fault_of_the_data_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = data(tmp_path / "voc")
    (root / "JPEGImages" / "c.jpg").write_bytes(b"no image")
    assert convert(root, "yolo", tmp_path / "out") == 2
    assert "c.jpg cannot be decoded" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["voc"]
