"""The server of docs/examples/serve.md, as it is shown, under load and with hostile uploads."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import matplotlib as mpl
import pytest

from tests.media.samples import png_header
from tests.test_package import FENCED, ROOT
from vision.detector import Detector

PAGE = (ROOT / "docs/examples/serve.md").read_text(encoding="utf-8")
PLACES = 8
SECONDS = 6.0
PHOTO = (Path(mpl.get_data_path()) / "sample_data/grace_hopper.jpg").read_bytes()

pytestmark = pytest.mark.slow


@dataclass
class Server:
    """A running server."""

    port: int
    process: "subprocess.Popen[bytes]"
    log: Path

    def post(self, body: Any) -> httpx.Response:  # noqa: ANN401
        """The answer to a body, in bytes or in chunks of an iterator."""
        return httpx.post(f"http://127.0.0.1:{self.port}/detect", content=body, timeout=60)

    def health(self) -> Any:  # noqa: ANN401
        """What the server says of itself."""
        return httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=60).json()

    def begin(self) -> HTTPConnection:
        """A request with the first half of its body."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.putrequest("POST", "/detect")
        connection.putheader("Content-Length", str(len(PHOTO)))
        connection.endheaders(PHOTO[: len(PHOTO) // 2])
        return connection

    def takes_connections(self, host: str = "127.0.0.1", for_seconds: float = 0) -> bool:
        """Whether it does, for all of that time."""
        deadline = time.monotonic() + for_seconds
        while True:
            with socket.socket() as client:
                if client.connect_ex((host, self.port)):
                    return False
            if time.monotonic() >= deadline:
                return True
            time.sleep(0.05)

    def wait_for(self, taken: int) -> None:
        """Wait until so many places are taken."""
        deadline = time.monotonic() + 30
        while self.health()["taken"] != taken:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def finish(connection: HTTPConnection, rest: bytes = PHOTO[len(PHOTO) // 2 :]) -> int:
    """Send the second half of the body, or less, and give the status of the answer."""
    with closing(connection):
        if rest:
            connection.send(rest)
        return connection.getresponse().status


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The page's code in a process of its own, on another port, and less patient."""
    (code,) = (text for language, text in FENCED.findall(PAGE) if language == "python")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for shown, changed in {"port=8000": f"port={port}", "= 30.0": f"= {SECONDS}"}.items():
        assert code.count(shown) == 1
        code = code.replace(shown, changed)
    (tmp_path / "serve.py").write_text(code, encoding="utf-8")
    log = tmp_path / "log"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "WEIGHTS": "coco"}
    with log.open("wb") as file:
        command = [sys.executable, "serve.py"]
        process = subprocess.Popen(  # noqa: S603
            command, cwd=tmp_path, env=environment, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            deadline = time.monotonic() + 120
            while b"running on" not in log.read_bytes():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield Server(port, process, log)
        finally:
            process.kill()
            process.wait()


def uploads() -> dict[str, tuple[bytes, int, str]]:
    """Bodies that are refused, with the answer and a part of its reason."""
    return {
        "truncated JPEG": (PHOTO[: len(PHOTO) // 2], 422, "cannot be decoded"),
        "bomb": (png_header(20_000, 20_000), 422, "400,000,000 pixels, more than"),
        "text": (b"not an image", 422, "cannot be decoded"),
        "empty": (b"", 422, "cannot be decoded"),
        "noise": (bytes(range(256)) * 400, 422, "cannot be decoded"),
        "huge": (b"\xff\xd8" + bytes(20_000_000), 413, "more than 20000000 bytes"),
    }


def test_uploads_queue_and_stop(server: Server) -> None:
    assert server.takes_connections()
    assert not server.takes_connections("127.0.0.2")  # an address of this machine, as others are
    answer = server.post(PHOTO)
    expected = Detector.load("coco", score=0.4)(PHOTO)
    assert (answer.status_code, answer.json()["size"]) == (200, list(expected.size or ()))
    found = answer.json()["detections"]
    assert [item["label"] for item in found] == ["person", "tie"]
    for item, row in zip(found, expected.to_list(), strict=True):
        assert item["box"] == pytest.approx(row["box"], abs=0.01)
    for name, (body, status, reason) in uploads().items():
        answer = server.post(body)
        assert (name, answer.status_code) == (name, status)
        assert reason in answer.json()["detail"]
    # The length is that of the body, whatever a header says: these chunks have none.
    answer = server.post(bytes(1_000_000) for _ in range(40))
    assert answer.status_code == 413
    assert server.health() == {"places": PLACES, "taken": 0}

    # A client that leaves in the middle gives its place back; one that is too slow loses it.
    left = server.begin()
    server.wait_for(1)
    left.close()
    server.wait_for(0)
    assert finish(server.begin(), rest=b"") == 408
    assert server.health()["taken"] == 0

    # As many as there are places are answered, and one more is not.
    begun = [server.begin() for _ in range(PLACES)]
    server.wait_for(PLACES)
    refused = server.post(PHOTO)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert [finish(connection) for connection in begun] == [200] * PLACES
    assert server.health()["taken"] == 0

    # SIGTERM: what has begun is answered, nothing new is taken, and the process ends.
    last = server.begin()
    server.wait_for(1)
    server.process.send_signal(signal.SIGTERM)
    assert not server.takes_connections(for_seconds=30)
    assert finish(last) == 200
    server.process.wait(60)
    assert "Traceback" not in server.log.read_text()
