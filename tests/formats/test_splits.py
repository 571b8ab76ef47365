"""A VOC source whose images a list outside of its folder names."""

from pathlib import Path

import pytest

from tests.formats.builders import voc_object, voc_xml, write_split, write_voc
from vision.choices import CONFIGS
from vision.config import VocSource, load_config
from vision.errors import DataError
from vision.formats.voc import read_voc

LISTS = {"voc2007test_3500": 3500, "voc2007test_700": 700, "voc2012_1105": 1105}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    xml = voc_xml(voc_object("cat", (11, 6, 30, 20)))
    return write_voc(tmp_path / "voc", {"a": xml, "000002": xml, "000011": xml})


def stems(root: Path, split: str) -> list[str]:
    return [Path(record.image_id).stem for record in read_voc(str(root), split).records]


def test_a_list_may_be_any_file(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.txt").write_text("000011\na\n", encoding="utf-8")
    assert stems(root, str(tmp_path / "mine.txt")) == ["000011", "a"]
    monkeypatch.chdir(tmp_path)
    assert stems(root, "mine.txt") == ["000011", "a"]


def test_a_split_of_the_folder_may_be_named_with_its_suffix(root: Path) -> None:
    write_split(root, "a\n", "train")
    assert stems(root, "train.txt") == stems(root, "train") == ["a"]


def test_a_list_of_the_package_is_found_by_its_name(root: Path) -> None:
    with pytest.raises(DataError, match=r"voc2007test_700\.txt names 000038"):
        read_voc(str(root), "voc2007test_700.txt")


def test_a_list_that_does_not_exist_is_said(root: Path) -> None:
    with pytest.raises(DataError, match=r"has no ImageSets/Main/nowhere\.txt"):
        read_voc(str(root), "nowhere.txt")


def test_the_lists_of_the_package_are_disjoint_and_of_the_size_in_their_name() -> None:
    found = {path.stem: path.read_text("utf-8").split() for path in CONFIGS.glob("splits/*.txt")}
    assert {name: len(ids) for name, ids in found.items()} == LISTS
    assert len({image for ids in found.values() for image in ids}) == sum(LISTS.values())


@pytest.mark.parametrize("name", ["voc_shipped", "voc_short"])
def test_shipped_configurations_name_lists_of_the_package(name: str) -> None:
    data = load_config(name).data
    assert isinstance(data.train, list)
    splits = [s.split for s in (*data.train, data.val) if isinstance(s, VocSource)]
    assert splits == ["voc2007test_3500.txt", "voc2012_1105.txt", "voc2007test_700.txt"]
    assert all((CONFIGS / "splits" / str(split)).is_file() for split in splits)
