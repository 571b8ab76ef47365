"""Images in object stores and by http, with ``memory://`` and a server on loopback."""

import base64
import functools
import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import fsspec
import numpy as np
import pytest
from PIL import Image

from tests.cli.test_detect import detect, weights
from tests.runs import entries_in
from vision.detection.outcomes import read_first
from vision.errors import ConfigError, DataError
from vision.media import find_images, find_inputs, read_frames, read_remote, write_image
from vision.urls import read_url

__all__ = ["weights"]

SECRET = "s3:cr@t"  # noqa: S105


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("a.png", "day=1/b.bmp", ".hidden/c.png", "day=1/d.jpg"):
        write_image(tmp_path / "photos" / name, rng.integers(0, 255, (40, 60, 3), np.uint8))
    (tmp_path / "photos" / "notes.md").write_text("no image")
    return tmp_path / "photos"


@pytest.fixture
def store(photos: Path) -> Iterator[str]:
    """The photos in a bucket."""
    fs = fsspec.filesystem("memory")
    fs.put(str(photos), "/bucket/photos", recursive=True)
    yield "memory://bucket/photos"
    fs.rm("/bucket", recursive=True)


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Files for those who know the password."""

    def do_GET(self) -> None:
        expected = base64.b64encode(f"me:{SECRET}".encode()).decode()
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to?"))
            self.end_headers()
        elif self.headers["Authorization"] != f"Basic {expected}":
            self.send_error(401)
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server(photos: Path) -> Iterator[str]:
    handler = functools.partial(_Handler, directory=photos)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{serving.server_address[1]}"
        serving.shutdown()


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ("", ["a.png", "day=1/b.bmp", "day=1/d.jpg"]),
        ("/", ["a.png", "day=1/b.bmp", "day=1/d.jpg"]),
        ("/*/*.jpg", ["day=1/d.jpg"]),
        ("/**/[ab].*", ["a.png", "day=1/b.bmp"]),
        ("/day=1/b.bmp", ["day=1/b.bmp"]),
    ],
)
def test_files_folders_and_patterns(store: str, ending: str, expected: list[str]) -> None:
    sources = find_inputs([f"{store}{ending}"])
    assert [source.name for source in sources] == [f"{store}/{name}" for name in expected]
    assert {source.kind for source in sources} == {"image"}


@pytest.mark.slow
def test_remote_images_have_the_results_of_files(
    weights: Path, photos: Path, store: str, server: str, tmp_path: Path
) -> None:
    words = ("--save=pictures,json,yolo,labelme", "--score=0.2", "--max=5")
    url = f"http://me:{quote(SECRET)}@{server}/a.png?key={SECRET}"
    assert detect(weights, tmp_path / "files", photos, photos / "a.png", *words) == 0
    assert detect(weights, tmp_path / "store", store, *words) == 0
    assert detect(weights, tmp_path / "http", url, *words) == 0
    files, stored = entries_in(tmp_path / "files"), entries_in(tmp_path / "store")
    (loaded,) = entries_in(tmp_path / "http")
    assert [entry["detections"] for entry in stored] == [entry["detections"] for entry in files]
    assert loaded["detections"] == files[0]["detections"]
    assert loaded["image"] == f"http://***@{server}/a.png?***"
    assert (tmp_path / "store/labelme/day=1/d.jpg").exists()
    for path in (tmp_path / "http").rglob("*"):
        assert SECRET not in path.name
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()


def test_a_password_is_sent_to_its_own_host_only(photos: Path, server: str) -> None:
    url = f"http://me:{quote(SECRET)}@{server}/to?"
    assert read_url(f"{url}/a.png") == (photos / "a.png").read_bytes()
    other = server.replace("127.0.0.1", "localhost")
    with pytest.raises(DataError, match="cannot be read: 401 Unauthorized"):
        read_url(f"{url}http://{other}/a.png")


def test_frames_of_remote_images_are_those_of_files(photos: Path, store: str, server: str) -> None:
    files = list(read_frames(photos))
    assert all(map(np.array_equal, read_frames(store), files))
    url = f"http://me:{quote(SECRET)}@{server}/a.png"
    assert all(map(np.array_equal, read_frames(url), files[:1]))
    assert len(list(read_frames([store, url]))) == len(files) + 1


def test_of_an_animation_the_first_frame_is_used_and_that_is_said(
    photos: Path, server: str, caplog: pytest.LogCaptureFixture
) -> None:
    frames = [Image.new("L", (6, 4), grey) for grey in (10, 200)]
    frames[0].save(photos / "moving.gif", save_all=True, append_images=frames[1:])
    (source,) = find_inputs([f"http://me:{quote(SECRET)}@{server}/moving.gif?key={SECRET}"])
    assert (read_first(source) == 10).all()
    assert caplog.messages == [f"{source.name}: only the first of its 2 frames is used"]


def test_secrets_are_in_no_error(server: str) -> None:
    for url, reason in (
        (f"http://me:{SECRET}@{server}/no.png", "404"),
        (f"http://me:no{SECRET}@{server}/a.png", "401"),
    ):
        with pytest.raises(DataError, match=reason) as caught:
            read_url(url)
        assert SECRET not in str(caught.value)


def test_what_cannot_be_read_is_one_line(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"input memory://\*\*\*@none/x is neither an image nor"):
        find_inputs([f"memory://me:{SECRET}@none/x"])
    with pytest.raises(DataError, match="is not read here; download it"):
        find_images([store])
    with pytest.raises(DataError, match=r"no\.png cannot be read: FileNotFoundError"):
        read_remote(f"{store}/no.png")
    monkeypatch.setattr("vision.media.remote.MAX_BYTES", 99)
    with pytest.raises(DataError, match=r"a.png has [\d,]+ bytes, more than the 99 that are read"):
        read_remote(f"{store}/a.png")


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ConfigError, match=r'Install s3fs.*pip install "\.\[remote\]"'):
        find_inputs(["s3://bucket/a.png"])
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ConfigError, match=r'fsspec.core is not installed.*"\.\[remote\]"'):
        find_inputs(["s3://bucket/a.png"])
