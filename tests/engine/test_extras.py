"""Files that a run can do without: where one cannot be written, all others are as ever."""

import json
import threading
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.disk import files_end_at
from tests.formats.builders import voc_object, voc_xml, write_voc
from tests.model.test_matching import FAR, HALF_A, NEAR_A, THIRD_A, A, as_priors, as_target
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
        f"no more TensorBoard events in {name}" in message
        for name, message in zip((tmp_path, tmp_path / "other"), caplog.messages, strict=True)
    ] == [True, True]
    assert capfd.readouterr() == ("", "")
    assert threading.excepthook == hook
    assert max(path.stat().st_size for path in tmp_path.glob("events*")) > 2000


def test_the_priors_of_each_object_are_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: three priors overlap object A by half or more, one FAR, and none is of the ignored.

    They come in two chunks, and the fifth image is beyond the limit.
    """
    monkeypatch.setattr("vision.engine.tensorboard.MAX_MATCHED", 4)
    monkeypatch.setattr("vision.engine.tensorboard.CHUNK", 3)
    targets = [as_target(A), as_target(A, FAR), as_target(), as_target(FAR, ignore=(True,))]
    board = TensorBoardWriter(tmp_path, 0)
    board.matches([*targets, as_target(A)], as_priors(A, NEAR_A, HALF_A, THIRD_A, FAR), 0.5)
    board.matches([as_target()], as_priors(A), 0.5)  # nothing to count
    board.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    (event,) = events.Histograms("matched priors of an object")
    found = event.histogram_value
    counts = [3, 3, 1]
    assert (found.num, found.min, found.max) == (len(counts), min(counts), max(counts))
    assert (found.sum, found.sum_squares) == (sum(counts), sum(n * n for n in counts))


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
