"""One image in all the forms that users have it in; Pillow is the reference."""

import io
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from vision.errors import DataError
from vision.image_inputs import are_many, to_rgb
from vision.urls import read_url

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
GREY = np.repeat(RGB[..., :1], 3, axis=2)
RGBA = np.concatenate([RGB, RNG.integers(0, 256, (6, 8, 1), dtype=np.uint8)], axis=2)
CHW = torch.from_numpy(RGB).permute(2, 0, 1)
ORIENTATION, QUARTER_TURN = 0x0112, 6


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(RGB).save(path)
    return path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server of the folder's files."""
    yield from served(partial(QuietHandler, directory=str(tmp_path)))


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files, and logs nothing."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


class EndlessHandler(BaseHTTPRequestHandler):
    """Sends a byte every now and then, for ever."""

    def do_GET(self) -> None:
        """Send until the other side hangs up."""
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"x")
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing."""


def served(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(RGB, RGB, id="RGB array"),
        pytest.param(RGB[:, ::-1], RGB[:, ::-1], id="RGB array, mirrored view"),
        pytest.param(RGB[..., 0], GREY, id="grey array"),
        pytest.param(RGB[..., :1], GREY, id="grey array with a channel"),
        pytest.param(RGBA, RGB, id="RGBA array"),
        pytest.param(RGB / 255, RGB, id="array of float64"),
        pytest.param(CHW, RGB, id="CHW tensor"),
        pytest.param(torch.from_numpy(RGBA).permute(2, 0, 1), RGB, id="RGBA tensor"),
        pytest.param(CHW[:1], GREY, id="grey tensor"),
        pytest.param(CHW[0], GREY, id="grey tensor without a channel"),
        pytest.param(CHW / 255, RGB, id="tensor of float32"),
        pytest.param((CHW / 255).requires_grad_(), RGB, id="tensor with a gradient"),
        pytest.param((CHW / 255).half(), RGB, id="tensor of float16"),
        pytest.param(Image.fromarray(RGB), RGB, id="PIL image"),
        pytest.param(Image.fromarray(RGB[..., 0]), GREY, id="grey PIL image"),
        pytest.param(Image.fromarray(RGBA), RGB, id="RGBA PIL image"),
        pytest.param(
            Image.fromarray(RGB[..., 0].astype(np.uint16) * 257), GREY, id="PIL image of 16 bits"
        ),
        pytest.param(
            Image.fromarray(RGB[..., 0].astype(np.int32) * 257), GREY, id="PIL image of mode I"
        ),
    ],
)
def test_arrays_tensors_and_pil_images(image: object, expected: UInt8[ndarray, "h w 3"]) -> None:
    np.testing.assert_array_equal(to_rgb(image), expected)
    assert not are_many(image)


def test_paths_addresses_and_contents_of_files(photo: Path, server: str) -> None:
    for image in (str(photo), photo, f"{server}/photo.png?token=1", photo.read_bytes()):
        np.testing.assert_array_equal(to_rgb(image), RGB)
        assert not are_many(image)


def test_a_pil_image_is_turned_upright_as_its_file_is(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = QUARTER_TURN
    Image.fromarray(RGB).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as image:
        np.testing.assert_array_equal(to_rgb(image), np.rot90(RGB, -1))
    np.testing.assert_array_equal(to_rgb(tmp_path / "turned.png"), np.rot90(RGB, -1))


@pytest.mark.parametrize(
    "images",
    [[], [RGB], (RGB,), RGB[None], CHW[None], iter([RGB]), {"a": RGB}.values()],
    ids=["none", "list", "tuple", "NHWC", "NCHW", "iterator", "values"],
)
def test_lists_and_stacks_are_many(images: object) -> None:
    assert are_many(images)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "got NoneType"),
        (7, "got int"),
        (np.zeros((3, 6, 8), np.uint8), r"uint8 of shape \(3, 6, 8\); pass image.transpose"),
        (np.zeros((6, 8, 2), np.uint8), r"got uint8 of shape \(6, 8, 2\)"),
        (np.zeros((0, 8, 3), np.uint8), r"got uint8 of shape \(0, 8, 3\)"),
        (np.zeros((6, 8, 3), np.int64), "got int64 .*convert it to 8 bits"),
        (np.zeros((6, 8, 3), np.uint16), "got uint16 .*convert it to 8 bits"),
        (np.zeros((6, 8, 3), bool), "got bool"),
        (np.array("photo"), "got <U5 of shape"),
        (RGB.astype(float), r"from 0 to 1, got \d+ to 2\d\d; pass uint8"),
        (CHW / 127.5 - 1, r"got -[.\d]+ to [.\d]+; pass uint8, or undo the normalisation"),
        (np.full((6, 8, 3), np.nan), "got nan to nan"),
        (torch.from_numpy(RGB), r"channels first, got shape \(6, 8, 3\); pass image.permute"),
        (Image.fromarray(np.zeros((6, 8), np.float32)), "32-bit samples; convert it to 8 bits"),
        ("", "image: the path is empty"),
        ({"a": RGB}, "got dict$"),
        (io.BytesIO(b"content"), r"got BytesIO; pass its content, file.read\(\)"),
        (bytearray(b"content"), "got bytearray$"),
        (b"no image", "image of 8 bytes cannot be decoded.*; pass the complete content of an"),
        (b"", "image of 0 bytes cannot be decoded"),
        ("nowhere.jpg", "image nowhere.jpg cannot be opened: No such file"),
        ("ftp://host/photo.jpg", "address ftp://host/photo.jpg: expected http://HOST"),
        ("http://[::1/photo.jpg", "is not a URL"),
        ("http://user:secret@127.0.0.1:1/a?key=secret", r"http://\*\*\*@127.0.0.1:1/a.* cannot"),
    ],
)
def test_what_is_no_image_is_one_line(image: object, message: str) -> None:
    assert not are_many(image)
    with pytest.raises(DataError, match=message) as caught:
        to_rgb(image)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_damaged_pil_image_is_one_line(tmp_path: Path) -> None:
    Image.fromarray(np.tile(RGB, (20, 20, 1))).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with (
        Image.open(tmp_path / "a.png") as image,
        pytest.raises(DataError, match=r"a\.png cannot be decoded"),
    ):
        to_rgb(image)


def test_a_server_says_no_or_sends_too_much(photo: Path, server: str) -> None:
    with pytest.raises(DataError, match=r"/none\.png cannot be read: 404 File not found"):
        to_rgb(f"{server}/none.png")
    size = photo.stat().st_size
    assert read_url(f"{server}/photo.png", size) == photo.read_bytes()
    with pytest.raises(DataError, match=f"has more than the {size - 1} bytes that are read"):
        read_url(f"{server}/photo.png", size - 1)


def test_a_server_without_an_end_is_left() -> None:
    for address in served(EndlessHandler):
        with pytest.raises(DataError, match=r"takes more than 0\.2 seconds"):
            read_url(address, 10**12, 0.2)
