"""``ssdlite train``: exit codes, and each user's error as one line."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

import vision.cli.train
from tests.runs import contents, read_log, write_run_config
from vision.cli.main import main
from vision.config import Config
from vision.model import MultiBoxLoss
from vision.model.loss import Losses
from vision.structures import Predictions, Target

RUN_FILES = {"augmentation.png", "config.yaml", "environment.json", "tensorboard"}
ONE_EPOCH = ("train.epochs=1", "data.val=null")


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What stands on the standard error: one line, if there is nothing else."""
    error = capsys.readouterr().err
    assert error.endswith("\n")
    assert error.count("\n") == 1
    return error.rstrip("\n")


@pytest.mark.slow
def test_trains_says_what_it_did_and_does_not_do_it_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, out = write_run_config(tmp_path / "small.yaml"), tmp_path / "run"
    command = ["train", "--config", config, "--out", str(out), "train.epochs=1"]
    assert main(command) == 0
    said = capsys.readouterr().out
    for part in ("train: 8 images", "val: 8 images", "priors: ", "epoch 1/1: loss", "voc.mAP50"):
        assert part in said
    for part in ("COCO", "VOC", "circle", f"weights, log and pictures are in {out}"):
        assert part in said
    assert len(read_log(out)) == 1
    commands = [line for line in said.splitlines() if line.startswith("    ssdlite ")]
    assert sum(line.startswith("    ssdlite detect ") for line in commands) == 1
    assert f"    ssdlite export --weights {out} --to onnx" in commands
    assert f"\nthe report is {out / 'report.html'}\nnext:\n" in said
    page = (out / "report.html").read_text(encoding="utf-8")
    assert f"{out} on val" in page
    assert f"ssdlite detect photos/ --weights {out} --score best" in page

    before = contents(out)
    assert main(command) == 2
    said = error_line(capsys)
    assert said.startswith(f"ssdlite train: error: run folder {out} exists")
    assert "--resume" in said
    assert contents(out) == before

    assert main([*command, "--resume", "data.classes=[circle]"]) == 2
    assert "are of another run (classes circle, " in error_line(capsys)
    assert contents(out) == before


@pytest.mark.slow
def test_the_run_is_called_as_its_configuration_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run_config(tmp_path / "small.yaml")
    command = ["train", "--config", "small.yaml", "data.val=null", "--resume"]
    assert main([*command, "train.epochs=1"]) == 0
    assert "starting from the beginning" in capsys.readouterr().out
    assert main([*command, "train.epochs=2"]) == 0
    assert "resuming after epoch 1 and 0 steps" in capsys.readouterr().out
    assert [row["epoch"] for row in read_log(tmp_path / "runs" / "small")] == ["1", "2"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train.epoch=3"], "train.epoch is not a key; did you mean train.epochs?"),
        (["train.epochs=many"], "override train.epochs=many: input should be a valid integer"),
        (["train.epochs"], "expected key=value"),
        (["model.image_size=100"], "100 is neither a multiple of 32"),
        (["train.device=cuda:99"], "device cuda:99 cannot be used"),
        (["train.device=meta"], "device meta cannot be used"),
        (["train.device=hpu"], "device hpu cannot be used"),
        (
            ["data.train={format: voc, root: nowhere, split: train}"],
            "/nowhere has no ImageSets/Main/train.txt",
        ),
        (
            ["data.val={format: coco, root: nowhere, split: val}"],
            "/nowhere has no annotations/instances_val.json",
        ),
        (["data.train=null"], "data.train is missing"),
        (["--config", "nowhere.yaml"], "configuration nowhere.yaml does not exist"),
        (["--config", "."], "configuration . cannot be read: Is a directory"),
        (["model.init=nothere.pt"], "weights nothere.pt do not exist; name a weights file, a run"),
    ],
)
def test_a_users_error_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    config = write_run_config(tmp_path / "small.yaml")
    assert main(["train", "--config", config, "--out", str(tmp_path / "run"), *words]) == 2
    said = error_line(capsys)
    assert said.startswith("ssdlite train: error: ")
    assert message in said
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_loss_that_is_not_finite_is_a_users_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forward = MultiBoxLoss.forward

    def spoilt(
        self: MultiBoxLoss, predictions: Predictions, targets: Sequence[Target], *_: object
    ) -> Losses:
        return forward(self, predictions._replace(offsets=predictions.offsets * math.inf), targets)

    monkeypatch.setattr(MultiBoxLoss, "forward", spoilt)
    config, out = write_run_config(tmp_path / "small.yaml", *ONE_EPOCH), tmp_path / "run"
    assert main(["train", "--config", config, "--out", str(out)]) == 2
    *progress, said = capsys.readouterr().err.splitlines()
    assert said.startswith("ssdlite train: error: the loss is not finite")
    assert "scene " in said
    assert not any("Traceback" in line for line in progress)
    assert {name.split("/")[0] for name in contents(out)} == RUN_FILES


@pytest.mark.slow
def test_ctrl_c_has_an_exit_code_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(config: Config, out: Path, **_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(vision.cli.train, "train", interrupted)
    assert main(["train", "--config", write_run_config(tmp_path / "small.yaml")]) == 130
    assert error_line(capsys) == "ssdlite train: interrupted"


def test_a_bug_keeps_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(config: Config, out: Path, **_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(vision.cli.train, "train", broken)
    assert main(["train", "--config", write_run_config(tmp_path / "small.yaml")]) == 70
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "ValueError: a bug" in said


@pytest.mark.parametrize("words", [[], ["fly"], ["train"], ["train", "--config"], ["--help"]])
def test_a_wrong_command_line_shows_the_usage(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    said = capsys.readouterr()
    assert caught.value.code == (0 if words == ["--help"] else 2)
    assert "usage: ssdlite" in said.out + said.err
