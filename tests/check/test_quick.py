"""What a training says of its data before it begins."""

from pathlib import Path

import pytest

from tests.check import corpus
from tests.check.corpus import Corpus
from tests.check.test_check import read
from tests.runs import write_run_config
from vision.check import check_before_training, quick_warnings
from vision.cli.main import main
from vision.config import DataConfig
from vision.errors import DataError

SPLITS = ("train", "val")


def test_clean_data_give_no_warning(tmp_path: Path) -> None:
    assert quick_warnings(read(corpus.clean(tmp_path).write())) == []


def test_similar_names_and_ignored_classes_are_warned_of(tmp_path: Path) -> None:
    warnings = quick_warnings(read(corpus.faulty(tmp_path).write()))
    assert len(warnings) == 2
    assert warnings[0].startswith(
        "warning: class whose boxes are all ignored: 2 (train: bird, 1 box"
    )
    assert warnings[1].startswith("warning: similar class names: 2 (train, val: 'Cat' (4 boxes)")


def ignored(root: Path, split: str) -> Path:
    """Four images for each split; the boxes of one split are crowds."""
    made = Corpus(root)
    for part in ("train", "val"):
        for index in range(4):
            made.image(part, f"{index}.jpg")
            made.entry(part, f"{index}.jpg", crowd=part == split)
    return made.write()


def test_a_val_whose_boxes_are_all_ignored_is_a_warning(tmp_path: Path) -> None:
    (line,) = quick_warnings(read(ignored(tmp_path, "val")))
    assert line == (
        "warning: split whose boxes are all ignored: 1"
        " (val: 16 boxes, 16 with iscrowd and 0 difficult)"
    )


def test_training_logs_the_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Up to the next fault: a class that train does not have."""
    made = corpus.clean(tmp_path / "data")
    for split, label in (("train", "Cat"), ("val", "horse")):
        made.image(split, f"{label}.jpg")
        made.entry(split, f"{label}.jpg", [(label, [10, 10, 50, 50])])
    config = write_run_config(tmp_path / "small.yaml")
    root = made.write()
    data = [f"data.{one}={{format: auto, root: '{root}', split: {one}}}" for one in SPLITS]
    assert main(["train", "--config", config, *data, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr()
    assert "warning: similar class names: 1 (train, val: 'Cat' (1 box) and 'cat' (50)" in said.out
    assert "does not know: horse" in said.err


def test_a_file_in_train_and_val_is_warned_of(tmp_path: Path) -> None:
    """As of data.yaml with one folder for both."""
    train = read(corpus.clean(tmp_path).write())["train"]
    (line,) = quick_warnings({"train": train, "val": train})
    assert line.startswith("warning: same image in two splits: 12 (val: ")


def test_boxes_that_training_leaves_out_do_not_stop_it(tmp_path: Path) -> None:
    made = corpus.clean(tmp_path)
    made.entry("train", "clean0.jpg", [("cat", [10, 10, 0, 50])])
    root = str(made.write())
    data = DataConfig.model_validate(
        {split: {"format": "auto", "root": root, "split": split} for split in SPLITS}
    )
    (line,) = check_before_training(data, "mine")
    assert line.startswith("check: file listed twice 1, box without area 1")
    (tmp_path / "train" / "clean1.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"image 1, .* that stops training: train: train/clean1"):
        check_before_training(data, "mine")
