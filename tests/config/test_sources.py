"""Sources of data: the keys that they need, and what belongs to a root that is no longer theirs."""

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from vision.config import AutoSource, CocoSource, VocSource, config_from_dict, load_config
from vision.errors import ConfigError

SOURCES: dict[str, type[BaseModel]] = {"voc": VocSource, "coco": CocoSource}
FILES = {"annotations": "a", "images": "i"}


@pytest.mark.parametrize("key_format", SOURCES)
@pytest.mark.parametrize(
    "keys",
    [
        {"root": "r", "split": "s"},
        {"root": "r", "split": "s", "images": "i"},
        {"root": "r", "split": "s", **FILES},
        {"root": "r", **FILES},
        FILES,
    ],
)
def test_root_and_split_or_annotations_and_images_will_do(
    key_format: str, keys: dict[str, str]
) -> None:
    values = {"format": key_format, **keys}
    config = config_from_dict({"data": {"train": values, "val": [values]}})
    assert config.data.train == SOURCES[key_format].model_validate(values)
    assert config.data.val == [config.data.train]


def test_a_split_of_coco_needs_no_root_where_both_files_are_named() -> None:
    values = {"format": "coco", "split": "s", **FILES}
    assert isinstance(config_from_dict({"data": {"val": values}}).data.val, CocoSource)


@pytest.mark.parametrize("key_format", SOURCES)
@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        ({}, "root and split are missing"),
        ({"annotations": "a"}, "root and split are missing"),
        ({"annotations": "", "images": ""}, "root and split are missing"),
        ({"root": "r", "images": "i"}, "split is missing"),
        ({"split": "s", "images": "i"}, "root is missing"),
    ],
)
def test_names_the_keys_that_are_missing(
    key_format: str, keys: dict[str, str], missing: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_dict({"data": {"val": [{"format": key_format, **keys}]}}, where="a.yaml")
    assert str(caught.value) == (
        f"a.yaml: data.val.0: {missing}; give root and split, or annotations and images"
    )


def test_a_split_of_voc_needs_the_root_that_holds_it() -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_dict({"data": {"val": {"format": "voc", "split": "s", **FILES}}})
    assert str(caught.value) == (
        "configuration: data.val: root is missing; split names a list in root, so set both or"
        " neither"
    )


# Another root


def recorded(folder: Path, **changes: object) -> dict[str, Any]:
    """What weights recorded: files outside the root of ``data.val``, in each of ``data.train``."""
    source: dict[str, object] = {"format": "coco", "root": str(folder / "old"), "split": "s"}
    source |= {"annotations": str(folder / "old" / "a.json"), "images": "pics"} | changes
    for name in ("old", "new", "new/labels"):
        (folder / name).mkdir(parents=True)
        (folder / name / "a.json").touch()
    return {"data": {"val": source, "train": [dict(source), dict(source)]}}


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("key", ["data.val", "data.train.1"])
def test_another_root_leaves_out_the_files_of_the_old_one_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    values = recorded(tmp_path)
    before = copy.deepcopy(values)
    root = str(tmp_path / "new")
    data = config_from_dict(values, [f"{key}.root={root}"]).data
    changed = CocoSource(format="coco", root=root, split="s")
    assert isinstance(data.train, list)
    assert [data.val, *data.train].count(changed) == 1
    assert (data.val if key == "data.val" else data.train[1]) == changed
    (line,) = said(caplog)
    assert line == (
        f"{key}.root is set, so the annotations and images recorded before are left out:"
        f" {tmp_path / 'old' / 'a.json'}, pics"
    )
    assert caplog.records[0].levelno == logging.WARNING
    assert values == before


@pytest.mark.parametrize(
    ("changes", "overrides", "kept"),
    [
        # What the new root has too.
        ({"annotations": "a.json"}, [], {"annotations": "a.json"}),
        ({"annotations": "labels/../a.json"}, [], {"annotations": "labels/../a.json"}),
        ({"annotations": "{}/new/a.json"}, [], {"annotations": "{}/new/a.json"}),
        # What an override sets, however.
        ({}, ["data.val.images=x"], {"images": "x"}),
        ({}, ["data.val={{format: coco, split: s, images: x}}"], {"images": "x"}),
        ({}, ["data={{val: {{format: coco, split: s, images: x}}}}"], {"images": "x"}),
        # There is nothing else.
        ({"annotations": None, "images": None}, [], {}),
        ({"annotations": "{}/old/a.json", "images": None}, [], {}),
    ],
)
def test_what_the_new_root_has_or_an_override_sets_is_kept(
    tmp_path: Path, changes: dict[str, str | None], overrides: list[str], kept: dict[str, str]
) -> None:
    def here(text: str | None) -> str | None:
        return text and text.format(tmp_path)

    values = recorded(tmp_path, **{key: here(text) for key, text in changes.items()})
    root = tmp_path / "new"
    words = [*(word.format(tmp_path) for word in overrides), f"data.val.root={root}"]
    expected: dict[str, Any] = {key: here(text) for key, text in kept.items()}
    assert config_from_dict(values, words).data.val == CocoSource(
        format="coco", root=str(root), split="s", **expected
    )


@pytest.mark.parametrize(
    "overrides", [[], ["data.val.root={}/old"], ["data.val.split=s"], ["data.val.root=null"]]
)
def test_the_same_root_or_none_leaves_the_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, overrides: list[str]
) -> None:
    values = recorded(tmp_path)
    source = config_from_dict(values, [word.format(tmp_path) for word in overrides]).data.val
    assert isinstance(source, CocoSource)
    assert (source.annotations, source.images) == (str(tmp_path / "old" / "a.json"), "pics")
    assert said(caplog) == []


def test_a_source_without_a_split_then_wants_one(tmp_path: Path) -> None:
    values = recorded(tmp_path, split=None)
    with pytest.raises(ConfigError) as caught:
        config_from_dict(values, ["data.val.root=elsewhere"], "configuration of W")
    assert str(caught.value) == (
        "override data.val.root=elsewhere: data.val: split is missing; give root and split, or"
        " annotations and images"
    )


def test_another_root_of_a_file_is_likewise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the old names are there in the working folder, in which readers look too."""
    (tmp_path / "xml").mkdir()
    (tmp_path / "new").mkdir()
    text = "data: {train: {format: voc, root: old, split: s, annotations: xml}}"
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    source = load_config("a.yaml", ["data.train.root=new"]).data.train
    assert source == VocSource(format="voc", root="new", split="s")
    assert said(caplog) == [
        "data.train.root is set, so the annotations recorded before are left out: xml"
    ]


def test_another_split_of_coco_leaves_out_the_files_of_the_old_one_but_not_voc_s_folders(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    values = recorded(tmp_path)
    old = config_from_dict(values).data.val
    assert isinstance(old, CocoSource)
    data = config_from_dict(values, ["data.val.split=other"]).data
    assert data.val == CocoSource(format="coco", root=old.root, split="other")
    assert said(caplog)[0].startswith("data.val.split is set, so the annotations and images recor")
    caplog.clear()
    assert config_from_dict(values, [f"data.val.split={old.split}"]).data.val == old
    voc = {"format": "voc", "root": "r", "split": "a", "annotations": "xml", "images": "jpg"}
    data = config_from_dict({"data": {"val": voc}}, ["data.val.split=b"]).data
    assert data.val == VocSource(**{**voc, "split": "b"})  # type: ignore[arg-type]
    assert not caplog.records


def test_two_files_on_the_command_line_do_without_the_root_of_the_configuration() -> None:
    values = {"data": {"val": {"format": "voc", "root": "data/mine", "split": "val"}}}
    words = ["data.val.annotations=xml", "data.val.images=jpg"]
    assert config_from_dict(values, words).data.val == VocSource(
        format="voc", annotations="xml", images="jpg"
    )
    with_root = config_from_dict(values, [*words, "data.val.root=r", "data.val.split=s"]).data.val
    assert with_root == VocSource(
        format="voc", root="r", split="s", annotations="xml", images="jpg"
    )


def test_two_files_on_the_command_line_leave_the_root_that_open_images_needs() -> None:
    values = {"format": "open_images", "root": "r", "split": "val"}
    words = ["data.val.annotations=a.csv", "data.val.images=jpg"]
    source = config_from_dict({"data": {"val": values}}, words).data.val
    assert isinstance(source, BaseModel)
    assert source.model_dump() == {**values, "annotations": "a.csv", "images": "jpg"}


def test_two_files_for_a_format_without_them_are_refused_as_unknown_keys_alone() -> None:
    values = {"data": {"val": {"format": "yolo", "root": "r"}}}
    with pytest.raises(ConfigError) as caught:
        config_from_dict(values, [f"data.val.{key}={value}" for key, value in FILES.items()])
    assert str(caught.value) == (
        "the overrides have 2 errors:\n"
        "  override data.val.annotations=a: data.val.annotations is not a key; there are format,"
        " root, split\n"
        "  override data.val.images=i: data.val.images is not a key; there are format, root, split"
    )


@pytest.mark.parametrize(("seed", "val_below"), [(1, None), (0, 0.25)])
def test_another_seed_splits_the_folder_anew(seed: int, val_below: float | None) -> None:
    source = {"format": "auto", "root": "r", "split": "val", "val_below": 0.25}
    data = config_from_dict({"data": {"val": source}}, [f"data.val.seed={seed}"]).data
    assert data.val == AutoSource(
        format="auto", root="r", split="val", seed=seed, val_below=val_below
    )


def test_a_root_in_the_home_folder_keeps_the_files_that_it_has_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    values = recorded(tmp_path, annotations="a.json", images="labels")
    data = config_from_dict(values, ["data.val.root=~/new"]).data
    assert data.val == CocoSource(
        format="coco", root="~/new", split="s", annotations="a.json", images="labels"
    )
    assert said(caplog) == []
