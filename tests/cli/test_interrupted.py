"""A signal or a full disk while a command writes: its result is complete, or not there at all."""

import importlib
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.cli.test_convert_data import data as voc_data
from tests.cli.test_eval import write_files
from tests.cli.test_signals import CODES, SIGNALS, hidden
from tests.convert import original_layouts as original
from tests.disk import files_end_at
from tests.reference_model import randomise
from vision.benchmark import EAGER, Candidate
from vision.benchmark.measure import peak_memory
from vision.cli.main import main
from vision.cli.signals import raised_signals
from vision.detection import CocoIds
from vision.detection.results import write_results
from vision.detection.schema import Entry
from vision.engine.recorder import write_log
from vision.errors import VisionError
from vision.media import write_image
from vision.runtime import RuntimeOptions

BENCHMARK = importlib.import_module("vision.cli.benchmark")

Words = list[str | Path]


def words_of(command: str, weights: Path, folder: Path) -> Words:
    """A command that takes little time and writes one result into ``folder / "out"``."""
    out = folder / "out"
    if command == "average":
        return ["average", weights, weights, "--out", out / "w.safetensors"]
    if command == "eval":
        return ["eval", *write_files(folder), "--out", out]
    if command == "convert-data":
        return [command, voc_data(folder / "voc"), "--to", "yolo", "--out", out]
    if command == "export":
        return ["export", "--weights", weights, "--to", "onnx", "--out", out]
    theirs = original.Mmdetection(2)
    randomise(theirs)
    torch.save({"meta": {}, "state_dict": theirs.state_dict()}, folder / "epoch.pth")
    (folder / "labels.txt").write_text("BACKGROUND\ncat\ndog\n", encoding="utf-8")
    labels = ("--labels", folder / "labels.txt")
    return ["convert", "mmdetection", folder / "epoch.pth", *labels, "--out", out / "w.safetensors"]


@pytest.fixture
def signal_at_rename(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sends this process a signal when a result is written and has yet to get its name."""

    def prepare(number: int) -> None:
        replace = Path.replace

        def signal_and_replace(path: Path, target: Path) -> Path:
            os.kill(os.getpid(), number)
            return replace(path, target)

        monkeypatch.setattr(Path, "replace", signal_and_replace)

    return prepare


@SIGNALS
@pytest.mark.parametrize("command", ["average", "convert", "convert-data", "eval"])
def test_a_signal_leaves_nothing(
    weights: Path,
    tmp_path: Path,
    signal_at_rename: Callable[[int], None],
    command: str,
    number: int,
) -> None:
    words = words_of(command, weights, tmp_path)
    signal_at_rename(number)
    assert main([*map(str, words)]) == CODES[signal.Signals(number)]
    out = tmp_path / "out"
    assert not out.exists() or list(out.iterdir()) == []
    assert hidden(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "number"),
    [
        ("list_candidates", signal.SIGTERM),
        ("peak_memory", signal.SIGHUP),
        ("measure_times", signal.SIGINT),
        ("write_json", signal.SIGTERM),
    ],
)
def test_a_benchmark_leaves_nothing(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    """The signal comes at the beginning of a step; one candidate is timed."""
    one = [Candidate(EAGER, weights, RuntimeOptions("torch"), is_plain=True)]
    monkeypatch.setattr(BENCHMARK, "list_candidates", lambda *_: (one, []))
    monkeypatch.setattr(BENCHMARK, "peak_memory", lambda *_: 0)
    then = getattr(BENCHMARK, step)

    def send(*words: object) -> object:
        os.kill(os.getpid(), number)
        return then(*words)

    monkeypatch.setattr(BENCHMARK, step, send)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    words = ["benchmark", "--weights", str(weights), "--out", str(tmp_path / "out"), "--rounds=1"]
    assert main(words) == CODES[signal.Signals(number)]
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]
    assert list((tmp_path / "temporary").iterdir()) == []


@SIGNALS
def test_a_benchmark_ends_its_process(weights: Path, number: int) -> None:
    """The signal comes while the process that measures memory starts, which takes seconds."""
    photo = np.zeros((64, 64, 3), np.uint8)

    children: list[BaseProcess] = []

    def send() -> None:
        while not children:
            children.extend(multiprocessing.active_children())
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    candidate = Candidate(EAGER, weights, RuntimeOptions("torch"), is_plain=True)
    thread = threading.Thread(target=send)
    thread.start()
    with raised_signals(), pytest.raises(KeyboardInterrupt):
        peak_memory(candidate, photo)
    thread.join()
    assert [child.exitcode for child in children] == [-signal.SIGTERM]


@pytest.mark.parametrize(
    "command", ["average", "convert", "eval", pytest.param("export", marks=pytest.mark.slow)]
)
def test_a_full_disk_keeps_what_was_there(
    request: pytest.FixtureRequest,
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    if command == "export":  # Other tests have these traced.
        weights = request.getfixturevalue("learnt") / "best.safetensors"
    words = words_of(command, weights, tmp_path)
    out = tmp_path / "out"
    assert main([*map(str, words)]) == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert before
    capsys.readouterr()
    with files_end_at(100):
        assert main([*map(str, words), "--overwrite"]) == 2
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    (line,) = capsys.readouterr().err.splitlines()
    assert "File too large" in line


def test_a_full_disk_keeps_the_detections_so_far(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    for index in range(30):
        write_image(photos / f"{index:02}.png", np.full((40, 60, 3), 90, np.uint8))
    words = ["detect", str(photos), "--weights", str(weights), "--out", str(out), "--save=json"]
    with files_end_at(1500):
        assert main([*words, "--workers=1"]) == 2
    assert "File too large" in capsys.readouterr().err
    assert main([*words, "--workers=1", "--resume"]) == 0
    said = capsys.readouterr().out
    assert "done before" in said
    assert (out / "detections.json").read_text("utf-8").count(".png") == 30
    assert [path.name for path in out.iterdir()] == ["detections.json"]


@pytest.mark.parametrize("kind", ["csv", "json", "coco", "log"])
def test_a_full_disk_keeps_the_file_before(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"

    def write(count: int) -> None:
        if kind == "log":
            write_log(path, [{"epoch": epoch, "loss": 1.5} for epoch in range(count)])
            return
        found = {"label": "cat", "score": 0.5, "box": [0.0, 0.0, 1.0, 1.0]}
        entry: Entry = {"image": "a", "size": [1, 1], "detections": [found]}  # type: ignore[list-item]
        write_results(path, kind, [entry] * count, CocoIds(["cat"]))

    write(1)
    before = path.read_bytes()
    with files_end_at(400), pytest.raises(VisionError, match=r"cannot be written: File too large"):
        write(300)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
