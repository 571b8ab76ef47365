"""``--data FOLDER``: from a folder as a tool exports it to a detector, with one word."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_train import error_line
from tests.formats import layouts
from tests.formats.layouts import FLAT, SPLIT, Splits
from tests.runs import write_run_config
from vision import Detector
from vision.cli.commands import parse
from vision.cli.main import main
from vision.cli.options import data_of
from vision.config import AutoSource, DataConfig, load_config, name_data
from vision.weights import SHIPPED


def sources(folder: str, **keys: object) -> DataConfig:
    """The data that ``--data`` stands for."""
    splits = [{"format": "auto", "root": folder, "split": one, **keys} for one in ("train", "val")]
    return DataConfig.model_validate(dict(zip(("train", "val"), splits, strict=True)))


@pytest.mark.parametrize("folder", ["mine", "{a}: [b], 'c'", "größe 😀", "no"])
def test_a_folder_stands_for_its_train_and_val(folder: str) -> None:
    options = parse("train", ["--data", folder])
    assert options.config == "finetune"
    config = load_config(options.config, name_data(options.data))
    assert config.data == sources(folder)
    assert config.model.init == "coco"
    assert config.train.recipe == "auto"


def test_keys_and_another_configuration_hold_beside_a_folder() -> None:
    options = parse("train", ["--data", "mine", "--config", "voc0712", "data.val.split=test"])
    assert options.config == "voc0712"
    data = load_config(options.config, [*name_data(options.data), *options.overrides]).data
    assert data.train == AutoSource(format="auto", root="mine", split="train")
    assert data.val == AutoSource(format="auto", root="mine", split="test")


def test_a_run_keeps_its_split_of_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = load_config("finetune", name_data("mine"))
    run = run.model_copy(update={"data": sources("mine", seed=3, val_below=0.25)})
    for folder, kept in (("./mine", {"seed": 3, "val_below": 0.25}), ("other", {})):
        options = parse("eval", ["--weights", "coco", "--data", folder])
        assert data_of(options, run).data == sources(folder, **kept)


def test_train_needs_data(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train"])
    said = capsys.readouterr().err
    assert "name your data with --data FOLDER, or a configuration with --config" in said


@pytest.mark.parametrize("command", ["train", "eval"])
def test_yolos_description_is_no_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    file = tmp_path / "data.yaml"
    file.write_text("train: images/train\nval: images/val\nnames: [cat]\n", encoding="utf-8")
    assert main([command, "--config", str(file)]) == 2
    expected = f"{file}: this is YOLO's data.yaml: pass it with --data"
    assert error_line(capsys) == f"ssdlite {command}: error: {expected}"


@pytest.mark.parametrize("command", ["train", "eval"])
def test_a_folder_that_is_not_there_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([command, "--data", "mine"]) == 2
    assert f"error: data {tmp_path / 'mine'} does not exist; pass the" in error_line(capsys)
    assert not list(tmp_path.iterdir())


def test_eval_names_the_split_that_it_evaluates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layouts.yolo(tmp_path, SPLIT)
    for words, split in (([], "val"), (["data.val.split=test"], "test")):
        assert main(["eval", "--data", str(tmp_path), *words]) == 0
        assert f"\n{split}: {len(SPLIT[split])} image" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "splits", "said"),
    [
        (layouts.roboflow_voc, SPLIT, "val: split val of VOC's XML files in mine"),
        (layouts.yolo, SPLIT, "train: split train of YOLO's text files in mine"),
    ],
)
def test_a_user_reaches_a_detector_with_one_command_and_no_other_word(
    learnt: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    write: Callable[[Path, Splits], None],
    splits: Splits,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if write is not layouts.roboflow_voc:  # Which starts from the detector in the package.
        monkeypatch.setitem(SHIPPED, "coco", learnt / "best.safetensors")
    write(Path("mine"), splits)
    assert main(["train", "--data", "mine"]) == 0
    assert said in capsys.readouterr().out
    assert Detector.load("runs/finetune").names == ["cat", "dog"]
    assert main(["eval", "--weights", "runs/finetune"]) == 0
    out = capsys.readouterr().out
    assert f"val: {len(splits['val'])} images" in out


@pytest.mark.slow
def test_a_run_is_resumed_and_evaluated_on_its_own_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    layouts.labelimg_yolo(Path("mine"), FLAT)
    command = ["train", "--data", "mine", "--config", write_run_config(tmp_path / "small.yaml")]
    assert main([*command, "train.epochs=1"]) == 0
    recorded = load_config("runs/small/config.yaml").data
    assert isinstance(recorded.val, AutoSource)
    assert recorded == sources("mine", val_below=recorded.val.val_below)
    assert main([*command, "train.epochs=2", "--resume"]) == 0
    assert load_config("runs/small/config.yaml").data == recorded
    layouts.labelimg_yolo(Path("mine"), {"all": [f"new{row}" for row in range(20)]})
    capsys.readouterr()
    for words in (["--weights", "runs/small"], ["--weights", "runs/small", "--data", "mine"]):
        assert main(["eval", *words]) == 0
        first = next(line for line in capsys.readouterr().out.splitlines() if "mine" in line)
        assert first.startswith("val: ")
        assert " of 30 images of YOLO's text files in mine, split by seed 0" in first
