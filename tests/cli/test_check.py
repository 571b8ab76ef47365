"""``ssdlite check``: exit codes, what it prints and writes, and its refusals."""

import json
import math
import os
import sys
from pathlib import Path

import pytest

from tests.check import corpus
from tests.cli.test_train import error_line
from tests.formats.layouts import labelimg_voc
from tests.runs import contents, write_run_config
from vision.cli.main import main


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(corpus.faulty(tmp_path_factory.mktemp("faulty")).write())


def test_a_clean_folder_passes(clean: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(Path(clean))
    assert main(["check", "--data", clean]) == 0
    said = capsys.readouterr().out
    assert "train: 12 images, 48 boxes (cat 24, dog 24)\nval: 13 images, 52 boxes (cat 26," in said
    assert "error" not in said.replace("0 errors", "")
    assert contents(Path(clean)) == before


def test_a_faulty_folder_fails_and_all_is_written(
    faulty: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    command = ["check", "--data", faulty, "--out", str(out)]
    assert main(command) == 1
    said = capsys.readouterr().out
    assert (
        "error: box without area: 2 (train: train/box_without_area0.jpg, dog (30, 30, 30, 50)"
        in said
    )
    assert f"the page is {out / 'check.html'}; the same data are in check.json" in said
    content = json.loads((out / "check.json").read_text(encoding="utf-8"))
    assert content["errors"] == said.count("\nerror: ")
    assert content["boxes"]["image_size"] == [300, 300]
    assert "box without area" in (out / "check.html").read_text(encoding="utf-8")

    assert "Train on it as it is" not in said  # for it would be refused

    assert main(command) == 2
    assert "exists; name another --out, or pass --overwrite" in error_line(capsys)
    assert main([*command, "--overwrite"]) == 1


def test_data_with_errors_that_training_takes_can_be_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = corpus.clean(tmp_path)
    made.image("train", "flat.jpg")
    made.entry("train", "flat.jpg", [("cat", [30, 30, 0, 20])])
    assert main(["check", "--data", str(made.write())]) == 1
    said = capsys.readouterr().out
    assert "error: box without area: 1" in said
    assert "Train on it as it is" in said


def test_a_configuration_names_data_classes_and_network(
    clean: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = [f"data.{key}={{format: coco, root: {clean}, split: {key}}}" for key in ("train", "val")]
    config = write_run_config(tmp_path / "small.yaml", *data)
    out = str(tmp_path / "report")
    assert main(["check", "--config", config, "data.classes=[cat]", "--out", out]) == 0
    assert "class that is left out: 2 (train: dog, 24 boxes" in capsys.readouterr().out
    content = json.loads((tmp_path / "report" / "check.json").read_text(encoding="utf-8"))
    assert content["boxes"]["image_size"] == [128, 128]


def test_boxes_without_numbers_are_written_as_null(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = corpus.clean(tmp_path / "data")
    made.image("train", "wild.jpg")
    made.entry("train", "wild.jpg", [("cat", [math.nan, 1, 5, 5]), ("dog", [1, 1, math.inf, 5])])
    out = tmp_path / "report"
    command = ["check", "--data", str(made.write()), "--out", str(out)]
    assert main([*command, "--fix", str(tmp_path / "copy")]) == 1
    assert (
        "box without area: 2 (train: train/wild.jpg, cat (nan, 1, nan, 6)"
        in capsys.readouterr().out
    )
    content = json.loads((out / "check.json").read_text(encoding="utf-8"))
    assert content["findings"][0]["places"][0]["boxes"] == [[None, 1, None, 6], [1, 1, None, 6]]
    assert main(["check", "--data", str(tmp_path / "copy")]) == 0


def test_synthetic_scenes_can_be_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They have no file; the same scenes in both splits are told."""
    config = write_run_config(tmp_path / "small.yaml")
    assert main(["check", "--config", config, "--fix", str(tmp_path / "copy")]) == 0
    said = capsys.readouterr().out
    assert "near-identical images in two splits: 8" in said
    assert not (tmp_path / "copy" / "train").exists()
    assert len(list((tmp_path / "copy" / "val").iterdir())) == 8


def test_the_copy_is_never_written_over_something(
    clean: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--data", clean, "--fix", clean]) == 2
    assert f"--fix {clean} exists; name a new folder" in error_line(capsys)


def test_a_copy_without_images_is_not_claimed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labelimg_voc(tmp_path / "data", {"all": ["img0"]})
    (tmp_path / "data" / "img0.jpg").write_bytes(b"no image")
    copy = tmp_path / "copy"
    assert main(["check", "--data", str(tmp_path / "data"), "--fix", str(copy)]) == 1
    said = capsys.readouterr().out
    assert f"--fix {copy} was not written: no image is left to copy\n" in said
    assert "is a copy" not in said
    assert "next:" not in said
    assert not copy.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_folder_whose_name_is_not_utf8_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9"))
    labelimg_voc(folder, {"all": [f"img{row}" for row in range(8)]})
    assert main(["check", "--data", str(folder)]) == 0
    assert "train: 8 images" in capsys.readouterr().out


def test_overrides_of_the_sources_of_a_folder_count(
    clean: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next step trains with them."""
    assert main(["check", "--data", clean, "data.val=null"]) == 0
    assert "\nval: " not in capsys.readouterr().out
    assert main(["check", "--data", clean, "data.train.split=none"]) == 2
    assert "override data.train.split=none: " in error_line(capsys)


def test_a_folder_or_a_configuration_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check"])
    assert "name your data with --data FOLDER" in capsys.readouterr().err
    assert main(["check", "--data", "nowhere"]) == 2
    assert "nowhere does not exist" in error_line(capsys)


def test_a_file_of_a_folder_that_is_split_is_faulty_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labelimg_voc(tmp_path / "data", {"all": [f"img{row}" for row in range(8)]})
    (tmp_path / "data" / "img3.jpg").write_bytes(b"no image")
    sides = (
        f"{{format: auto, root: {tmp_path / 'data'}, split: {key}}}" for key in ("train", "val")
    )
    data = [f"data.{key}={value}" for key, value in zip(("train", "val"), sides, strict=True)]
    assert main(["check", "--config", write_run_config(tmp_path / "run.yaml", *data)]) == 1
    assert "error: unreadable image: 1 (train: img3.jpg, cannot" in capsys.readouterr().out
