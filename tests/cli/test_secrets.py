"""A password in a stream's address is in nothing that is printed or written."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from vision.cli.main import main

SECRET = "s3cret"  # noqa: S105


class _Camera(http.server.BaseHTTPRequestHandler):
    """Twelve frames of motion JPEG."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        data = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
        for _ in range(12):
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def camera() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Camera) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.slow
def test_a_stream_s_password_is_in_no_output(
    camera: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"http://user:{SECRET}@{camera}/cam.mjpg?token={SECRET}"
    gone = f"http://user:{SECRET}@127.0.0.1:9/gone.mjpg?token={SECRET}"
    listed = tmp_path / "list.txt"
    listed.write_text(f"http://user:{SECRET}@[::1\n{url}\n")
    out = tmp_path / "out"
    code = main(["detect", str(listed), gone, "--out", str(out), "--save=pictures,json,csv,coco"])
    said = "".join(capfd.readouterr())
    assert code == 1
    assert f"http://***@{camera}/cam.mjpg?***" in (out / "detections.json").read_text()
    assert (out / "detections.journal").exists()
    assert "http://***@127.0.0.1:9/gone.mjpg?*** cannot be read" in said
    assert SECRET not in said
    for path in out.rglob("*"):
        assert SECRET not in path.name
        assert SECRET.encode() not in path.read_bytes()
