"""Signals to ``ssdlite detect``: what was done is complete, and the exit code names the signal."""

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.engine.test_train import at_step
from tests.runs import entries_in, write_run_config
from vision.cli.main import main
from vision.cli.signals import raised_signals
from vision.detection import Journal
from vision.detection.schema import Entry
from vision.detector import Detector
from vision.engine.checkpoint import Checkpoints
from vision.errors import Signalled
from vision.media import VideoReader, VideoWriter, write_image
from vision.runtime.onnx_backend import OnnxBackend
from vision.structures import Predictions

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
SIGNALS = pytest.mark.parametrize("number", CODES)


@pytest.fixture
def signal_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Sends this process a signal as soon as so many entries are in the journal."""

    def prepare(number: int, count: int) -> None:
        add, added = Journal.add, 0

        def add_and_signal(journal: Journal, entry: Entry) -> None:
            nonlocal added
            add(journal, entry)
            added += 1
            if added == count:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(Journal, "add", add_and_signal)

    return prepare


@contextmanager
def camera(num_frames: int | None) -> Iterator[str]:
    """The address of a stream of grey frames, which ends after a number of them or never."""
    _, jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))
    part = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg.tobytes() + b"\r\n"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            try:
                sent = 0
                while num_frames is None or sent < num_frames:
                    self.wfile.write(part)
                    sent += 1
                    time.sleep(0.002)
            except OSError:  # The reader has closed it.
                pass

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/live.mjpeg"
        server.shutdown()
        thread.join()


def detect(weights: Path, out: Path, *words: object) -> int:
    words = (*words, "--workers=1", "--batch=1")
    return main(["detect", *map(str, words), "--weights", str(weights), "--out", str(out)])


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*")]


@SIGNALS
def test_the_images_that_were_done_are_in_the_results(
    weights: Path, tmp_path: Path, signal_after: Callable[[int, int], None], number: int
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    for index in range(6):
        write_image(photos / f"{index}.png", np.full((40, 60, 3), 90, np.uint8))
    signal_after(number, 4)
    assert detect(weights, out, photos) == CODES[signal.Signals(number)]
    done = [Path(entry["image"]).name for entry in entries_in(out)]
    # The signal comes before the end of the fourth, which counts as not started.
    assert done == ["0.png", "1.png", "2.png"]
    file = json.loads((out / "detections.json").read_text("utf-8"))
    assert (file["skipped"], file["failures"]) == (3, [])
    assert hidden(out) == []
    assert detect(weights, out, photos, "--resume") == 0
    assert [Path(entry["image"]).name for entry in entries_in(out)] == [
        f"{index}.png" for index in range(6)
    ]


@SIGNALS
def test_a_film_leaves_nothing_hidden(
    weights: Path, tmp_path: Path, signal_after: Callable[[int, int], None], number: int
) -> None:
    with VideoWriter(tmp_path / "film.mp4", 10.0) as writer:
        for _ in range(20):
            writer.write(np.full((48, 64, 3), 90, np.uint8))
    out = tmp_path / "out"
    signal_after(number, 5)
    assert detect(weights, out, tmp_path / "film.mp4") == CODES[signal.Signals(number)]
    assert hidden(out) == []
    assert not (out / "film.mp4").exists()
    assert detect(weights, out, tmp_path / "film.mp4", "--resume") == 0
    assert [entry["frame"] for entry in entries_in(out)] == list(range(20))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_stream_is_complete_and_nothing_follows_it(
    weights: Path,
    tmp_path: Path,
    signal_after: Callable[[int, int], None],
    number: int,
    code: int,
) -> None:
    out = tmp_path / "out"
    signal_after(number, 8)
    with camera(None) as address:
        assert detect(weights, out, address, f"{address}?second") == code
    entries = entries_in(out)
    assert [entry["frame"] for entry in entries] == list(range(8))
    (film,) = out.glob("*.mp4")
    with VideoReader(film) as video:
        assert len(list(video)) == 8
    assert hidden(out) == []


def test_ctrl_c_is_the_regular_end_of_a_stream(
    weights: Path, tmp_path: Path, signal_after: Callable[[int, int], None]
) -> None:
    signal_after(signal.SIGINT, 8)
    with camera(None) as address:
        assert detect(weights, tmp_path / "out", address) == 0
    assert len(entries_in(tmp_path / "out")) == 8


def test_a_stream_that_ends_by_itself_is_a_failure(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with camera(15) as address:
        assert detect(weights, tmp_path / "out", address) == 1
    count = len(entries_in(tmp_path / "out"))
    assert count
    assert f"ended after {count} frames" in capsys.readouterr().out


def test_later_signals_do_not_break_what_is_being_completed() -> None:
    with raised_signals():
        with pytest.raises(Signalled) as caught:
            os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
    assert caught.value.number == signal.SIGHUP
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with raised_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
@SIGNALS
def test_a_training_saves_a_checkpoint_that_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    def send(predictions: Predictions) -> Predictions:
        assert len(multiprocessing.active_children()) == 1
        os.kill(os.getpid(), number)
        return predictions

    overrides = ("train.epochs=1", "train.workers=1", "data.val=null")
    config, out = write_run_config(tmp_path / "c.yaml", *overrides), tmp_path / "run"
    words = ["train", "--config", config, "--out", str(out)]
    with monkeypatch.context() as patch:
        at_step(patch, 1, send)
        assert main(words) == CODES[signal.Signals(number)]
    assert "interrupted, all is saved: the same command with --resume" in capsys.readouterr().err
    assert multiprocessing.active_children() == []
    assert [path.name for path in Checkpoints(out / "states").paths()] == ["step-000000001.pt"]
    assert main([*words, "--resume"]) == 0
    assert "resuming after epoch 0 and 1 steps" in capsys.readouterr().out
    assert hidden(out) == []


@SIGNALS
def test_an_evaluation_leaves_no_worker(
    learnt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def send(*_: object) -> None:
        assert len(multiprocessing.active_children()) == 2
        os.kill(os.getpid(), number)
        raise AssertionError("a signal ends the evaluation at once")

    monkeypatch.setattr(Detector, "detect_batch", send)
    words = ["eval", "--weights", str(learnt), "--out", str(tmp_path / "out"), "train.workers=2"]
    assert main(words) == CODES[signal.Signals(number)]
    assert multiprocessing.active_children() == []
    assert list(tmp_path.iterdir()) == []


@SIGNALS
def test_an_export_leaves_nothing(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The signal comes when half of the file is written."""
    out = tmp_path / "graphs"

    def write_half(_: OnnxBackend, path: Path, *__: object) -> None:
        path.write_bytes(b"half")
        assert hidden(out)
        os.kill(os.getpid(), number)

    monkeypatch.setattr(OnnxBackend, "write", write_half)
    code = main(["export", "--weights", str(weights), "--to=onnx", "--out", str(out)])
    assert code == CODES[signal.Signals(number)]
    assert not out.exists() or list(out.iterdir()) == []
