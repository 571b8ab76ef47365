"""`vision.train` and `vision.evaluate`, as scripts call them, against the run that they repeat."""

import json
from pathlib import Path

import pytest

import vision
import vision.api
from tests.runs import run_config, write_run_config
from vision.config import Config
from vision.errors import ConfigError, DataError, TrainingError


@pytest.mark.slow
def test_training_writes_what_the_command_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_run_config(tmp_path / "small.yaml", "train.epochs=1")
    metrics = vision.train(path)
    assert metrics is not None
    written = json.loads((tmp_path / "runs" / "small" / "metrics.json").read_text("utf-8"))
    assert metrics.to_dict()["voc"]["mAP50"] == written["voc"]["mAP50"]
    assert (tmp_path / "runs" / "small" / "report.html").is_file()
    config = vision.load_config(path, ["data.val=null"])
    assert vision.train(config, tmp_path / "other") is None
    assert (tmp_path / "other" / "best.safetensors").is_file()
    with pytest.raises(TrainingError, match="small exists; continue it"):
        vision.train(path)
    assert vision.train(path, resume=True) is not None


@pytest.mark.slow
def test_evaluation_gives_the_metrics_of_the_run(learnt: Path) -> None:
    """Whatever score threshold the detector has."""
    detector = vision.Detector.load(learnt, score=0.9)
    metrics = vision.evaluate(detector, vision.load_config(learnt / "config.yaml"))
    written = json.loads((learnt / "metrics.json").read_text("utf-8"))
    assert metrics.voc.mean == pytest.approx(written["voc"]["mAP50"], abs=1e-6)
    by_folder = vision.evaluate(learnt, vision.load_config(learnt / "config.yaml"))
    assert by_folder.to_dict() == metrics.to_dict()
    assert pytest.approx(written["coco"]["AP"], abs=1e-6) == metrics.coco.AP


def test_data_that_are_missing_are_one_line(tmp_path: Path) -> None:
    detector = vision.Detector.load("voc")
    with pytest.raises(ConfigError, match=r"data\.val"):
        vision.evaluate(detector, run_config("data.val=null"))
    with pytest.raises(DataError, match="nowhere"):
        vision.evaluate(detector, tmp_path / "nowhere")
    with pytest.raises(DataError, match="nowhere"):
        vision.train("finetune", tmp_path / "run", data=tmp_path / "nowhere")
    assert not (tmp_path / "run").exists()


def test_messages_name_arguments_and_no_options(tmp_path: Path) -> None:
    """The command line names its options in the same place."""
    run = tmp_path / "run"
    (run / "states").mkdir(parents=True)
    with pytest.raises(TrainingError, match=r"continue it with resume=True, or .*with out=$"):
        vision.train(run_config(), run)
    (run / "notes.txt").touch()
    (run / "states").rmdir()
    with pytest.raises(TrainingError, match=r"no run that resume=True could continue; .* out=$"):
        vision.train(run_config(), run, resume=True)
    with pytest.raises(ConfigError, match=r'^data.train is missing; .* data="FOLDER", or '):
        vision.train(run_config("data.train=null"), tmp_path / "other")
    (tmp_path / "data.yaml").write_text("names: [cat]", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"this is YOLO's data.yaml: pass it with data=$"):
        vision.train(tmp_path / "data.yaml", tmp_path / "other")


def test_a_configuration_sets_what_its_name_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe and the weights at the start choose the keys that are left out."""
    given: list[Config] = []
    monkeypatch.setattr(vision.api, "train_config", lambda config, *_, **__: given.append(config))
    for config in ("finetune", vision.load_config("finetune")):
        vision.train(config, tmp_path / "run", data=tmp_path)
    by_name, by_object = (config.model_dump(exclude_unset=True) for config in given)
    assert by_object == by_name
    assert "preset" not in by_object["model"]
