"""Streams that close, fall silent and come back, from a server of MJPEG on this machine."""

import json
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cli.test_signals import detect
from tests.runs import entries_in
from vision.detection import Journal
from vision.detection.schema import Entry

_, JPEG = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))
PART = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + JPEG.tobytes() + b"\r\n"
HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"

Visit = Callable[[socket.socket], object]
"""What the camera does on one connection; the connection is closed after it."""


def closes(client: socket.socket) -> None:
    """Send twenty frames, then close."""
    for _ in range(20):
        client.sendall(PART)
        time.sleep(0.002)


def resets(client: socket.socket) -> None:
    """Send twenty frames, then break the connection without its end."""
    closes(client)
    time.sleep(0.2)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def falls_silent(client: socket.socket) -> None:
    """Send twenty frames, then nothing, until the reader leaves."""
    closes(client)
    while client.recv(4096):
        pass


def answers_nothing(client: socket.socket) -> None:
    """Send no byte until the reader leaves."""
    while client.recv(4096):
        pass


@contextmanager
def camera(*visits: Visit) -> Iterator[str]:
    """The address of a camera that does so at each visit, and refuses later ones."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            for visit in visits:
                client, _ = server.accept()
                with client:
                    try:
                        client.recv(4096)
                        client.sendall(HEAD if visit is not answers_nothing else b"")
                        visit(client)
                    except OSError:
                        pass
            server.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://user:secret@127.0.0.1:{port}/live.mjpeg"
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vision.media.connection.TIMEOUT", 1.0)
    monkeypatch.setattr("vision.media.video_reader.TIMEOUT", 1.0)
    monkeypatch.setattr("vision.media.connection._DELAYS", (0.05, 0.2))


@pytest.mark.parametrize(
    ("visit", "words"),
    [
        pytest.param(closes, "ended after", id="closes"),
        pytest.param(resets, "ended after", id="resets"),
        pytest.param(falls_silent, "sent nothing more for 1 s after", id="silent"),
    ],
)
def test_the_end_of_a_stream_is_a_line_and_an_exit_code(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], visit: Visit, words: str
) -> None:
    out = tmp_path / "out"
    with camera(visit) as address:
        assert detect(weights, out, address) == 1
    count = len(entries_in(out))
    assert count > 10
    said = capsys.readouterr().out
    assert f"{words} {count} frames; what was read is kept" in said
    assert "\n1 input failed, as reported above\n" in said
    assert "--resume" not in said  # which keeps the frames, and reads no others


def test_what_resume_tries_again_is_counted_without_streams(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").touch()
    with camera(closes) as address:
        assert detect(weights, tmp_path / "out", address, tmp_path / "a.png") == 1
    said = capsys.readouterr().out
    assert "2 inputs failed, as reported above; --resume tries 1 of them again\n" in said


@pytest.mark.parametrize("is_back", [False, True])
def test_a_killed_stream_keeps_its_frames(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], is_back: bool
) -> None:
    out = tmp_path / "out"
    with camera(closes, *[closes] * is_back) as address:
        assert detect(weights, out, address, "--save=json") == 1
        kept = entries_in(out)
        journal = out / Journal.NAME
        *lines, end = journal.read_bytes().splitlines(keepends=True)
        assert end.startswith(b'{"done"')
        journal.write_bytes(b"".join(lines))  # as kill -9 leaves it
        (out / "detections.json").unlink()
        capsys.readouterr()
        assert detect(weights, out, address, "--save=json", "--resume") == (0 if is_back else 1)
    assert entries_in(out) == kept
    assert ("what was read before is kept" in capsys.readouterr().out) == is_back


@pytest.mark.parametrize("visits", [(), (answers_nothing,)], ids=["refuses", "is silent"])
def test_a_stream_that_cannot_be_opened_is_a_line(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], visits: tuple[Visit, ...]
) -> None:
    with camera(*visits) as address:
        assert detect(weights, tmp_path / "out", address) == 1
    said = capsys.readouterr().out
    assert "/live.mjpeg cannot be read: it does not answer" in said
    assert ".mp4" not in said.splitlines()[0]
    assert "secret" not in said


def test_a_stream_is_opened_again(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with camera(answers_nothing, closes, resets, answers_nothing, falls_silent, closes) as address:
        assert detect(weights, out, address, "--reconnect=4") == 1
    frames = [entry["frame"] for entry in entries_in(out)]
    assert frames == list(range(len(frames)))
    assert len(frames) > 50
    said = capsys.readouterr().out
    assert f"ended after {len(frames)} frames and 3 reconnections; what was read is kept" in said
    assert said.count("reopening it for") == 1  # within a minute
    assert "secret" not in said + json.dumps(entries_in(out))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_stream_that_is_away_can_be_left(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    """The pauses, which last for minutes here, end at once."""
    add = Journal.add

    def add_and_signal(journal: Journal, entry: Entry) -> None:
        add(journal, entry)
        if entry["frame"] == 0:
            threading.Timer(1, os.kill, (os.getpid(), number)).start()

    monkeypatch.setattr(Journal, "add", add_and_signal)
    monkeypatch.setattr("vision.media.connection._DELAYS", (600, 600))
    with camera(closes) as address:
        assert detect(weights, tmp_path / "out", address, "--reconnect=900") == code
    assert len(entries_in(tmp_path / "out")) > 10
