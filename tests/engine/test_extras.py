"""Files that a run can do without: where one cannot be written, all others are as ever."""

import json
import threading
from pathlib import Path

import pytest

from tests.disk import files_end_at
from tests.formats.builders import voc_object, voc_xml, write_voc
from tests.runs import run_config, scenes
from vision.engine import train
from vision.engine.tensorboard import TensorBoardWriter
from vision.report import write_run_report

SMALL = ("train.epochs=1", f"data.train={scenes(2)}", f"data.val={scenes(2)}")


def test_events_end_at_a_full_disk_and_the_run_does_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    hook = threading.excepthook
    with files_end_at(3000):
        board = TensorBoardWriter(tmp_path, 0)
        for step in range(200):
            board.scalars({"loss": 1.0, "lr": 0.1}, step)
            board.flush()
        board.close()
    with files_end_at(0):
        board = TensorBoardWriter(tmp_path / "other", 0)
        board.scalars({"loss": 1.0}, 0)
        board.flush()
        board.close()
    assert [
        f"no more events in {name}" in message
        for name, message in zip((tmp_path, tmp_path / "other"), caplog.messages, strict=True)
    ] == [True, True]
    assert capfd.readouterr() == ("", "")
    assert threading.excepthook == hook
    assert max(path.stat().st_size for path in tmp_path.glob("events*")) > 2000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["curves.png", "pictures", "report.html"])
def test_a_run_ends_well_without_its_pictures(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder lies where a picture has to be, or a file where a folder has to be."""
    (tmp_path / "states").mkdir()
    if name == "pictures":
        (tmp_path / name).touch()
    else:
        (tmp_path / name / "in the way").mkdir(parents=True)
    config = run_config(*SMALL, "train.tensorboard=false")
    metrics = train(config, tmp_path, resume=True, write_report=write_run_report)
    assert metrics is not None
    kept = json.loads((tmp_path / "metrics.json").read_text())
    assert kept["voc"] == metrics.to_dict()["voc"]
    warnings = [line for line in caplog.messages if "is left out" in line]
    assert len(warnings) == 1
    assert str(tmp_path / name) in warnings[0]
    made = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert {"curves.png", "pictures", "report.html", "best.safetensors", "log.csv"} <= made


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["b" * 247, "é" * 123])
def test_pictures_of_images_with_long_names_are_written(tmp_path: Path, stem: str) -> None:
    xml = voc_xml(voc_object("cat", (4, 4, 70, 30)))
    root = write_voc(tmp_path / "data", {stem: xml, "other": xml})
    source = {"format": "voc", "root": str(root), "split": "train"}
    config = run_config("train.epochs=1", f"data.train={source}", f"data.val={source}")
    assert train(config, tmp_path / "run") is not None
    pictures = sorted(path.name for path in (tmp_path / "run" / "pictures").iterdir())
    assert len(pictures) == 2
    assert pictures[0].startswith(f"00000_{stem[:90]}")
    clipped = {"boxes clipped to the image": 2}  # to a width of 60
    for name in ("environment", "metrics"):
        content = json.loads((tmp_path / "run" / f"{name}.json").read_text())
        assert content["irregularities"] == {"train": clipped, "val": clipped}
