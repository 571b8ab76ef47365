"""Reading images of every kind, size and state, and resizing them."""

import io
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from tests.media.samples import png_header
from vision.errors import DataError
from vision.image_info import image_size, lacks_end, num_frames
from vision.images import IMAGE_SUFFIXES, read_image, reduced_size, resize

ORIENTATION = 0x0112
SIZE = (20, 30)
TURNS: dict[
    int, Callable[[Any], Any]
] = {  # what EXIF says was done to the picture that a person should see, undone
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90,
}


def _picture(height: int = SIZE[0], width: int = SIZE[1]) -> UInt8[ndarray, "h w 3"]:
    """Smooth, so that JPEG keeps it, and different in each corner and channel."""
    y, x = np.mgrid[:height, :width]
    channels = [8 * y, 255 - 6 * x, 3 * (x + y)]
    return np.stack(channels, axis=2).clip(0, 255).astype(np.uint8)


def _save(path: Path, orientation: int) -> Path:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(_picture()).save(path, exif=exif)
    return path


def _jpeg(size: tuple[int, int] = (100, 120)) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif", "tiff", "jp2", "ppm"])
@pytest.mark.parametrize("name", ["plain", "Löwe 猫 [1]"])
def test_formats_and_names(tmp_path: Path, suffix: str, name: str) -> None:
    path = tmp_path / f"{name}.{suffix}"
    Image.fromarray(_picture()).save(path)
    image = read_image(path)
    assert np.abs(image.astype(int) - _picture()).mean() < 4
    assert image_size(path) == image.shape[:2] == SIZE
    np.testing.assert_array_equal(read_image(str(path)), image)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("L", "png"),
        ("L", "jpg"),
        ("L", "tif"),
        ("LA", "png"),
        ("1", "png"),
        ("1", "bmp"),
        ("P", "png"),
        ("P", "bmp"),
        ("RGBA", "png"),
        ("RGBA", "bmp"),
        ("CMYK", "jpg"),
        ("CMYK", "tif"),
    ],
)
def test_colour_modes_become_three_channels(tmp_path: Path, mode: str, suffix: str) -> None:
    source = Image.fromarray(_picture()).convert(mode)
    if mode == "RGBA":
        source.putalpha(Image.fromarray(_picture()[..., 0]))
    path = tmp_path / f"a.{suffix}"
    source.save(path)
    image = read_image(path)
    assert image_size(path) == image.shape[:2] == SIZE
    assert np.abs(image.astype(int) - np.asarray(source.convert("RGB"))).mean() < 4


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_become_eight(tmp_path: Path, suffix: str) -> None:
    colour, grey = tmp_path / f"colour.{suffix}", tmp_path / f"grey.{suffix}"
    cv2.imwrite(str(colour), _picture()[..., ::-1].astype(np.uint16) * 257)
    cv2.imwrite(str(grey), _picture()[..., 0].astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_image(colour), _picture())
    np.testing.assert_array_equal(read_image(grey), np.repeat(_picture()[..., :1], 3, axis=2))
    assert image_size(colour) == image_size(grey) == SIZE


@pytest.mark.parametrize("suffix", ["pgm", "tif", "tiff"])
@pytest.mark.parametrize("mode", ["F", "I"])
def test_samples_of_32_bits_are_refused_with_the_reason(
    tmp_path: Path, mode: str, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(_picture()).convert(mode).save(path)
    if (mode, suffix) == ("I", "pgm"):  # 16 bits in the file
        assert read_image(path).shape == (*SIZE, 3)
        return
    with pytest.raises(DataError, match=f"^image {path} has 32-bit samples; convert it to 8 bits$"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".heic", ".HEIF", ".jxl", ".psd"])
def test_formats_that_are_not_read_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"\0\0\0\x18ftypheic")
    for function in (read_image, image_size):
        with pytest.raises(DataError, match=rf"^image {path}: {suffix.lower()} files are not read"):
            function(path)


@pytest.mark.parametrize(
    ("suffix", "form"), [("jfif", "JPEG"), ("jpe", "JPEG"), ("mpo", "MPO"), ("ico", "ICO")]
)
def test_rarer_suffixes(tmp_path: Path, suffix: str, form: str) -> None:
    assert f".{suffix}" in IMAGE_SUFFIXES
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(_picture(48, 48)).save(path, form)
    image = read_image(path)
    assert np.abs(image.astype(int) - _picture(48, 48)).mean() < 4
    assert image_size(path) == (48, 48)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", TURNS)
def test_exif_turns_the_picture(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = _save(tmp_path / f"a.{suffix}", orientation)
    image, expected = read_image(path), TURNS[orientation](_picture())
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 4
    assert image_size(path) == image.shape[:2]


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_unknown_orientations_turn_nothing(tmp_path: Path, orientation: int) -> None:
    path = _save(tmp_path / "a.jpg", orientation)
    assert image_size(path) == read_image(path).shape[:2] == SIZE


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", TURNS)
def test_the_annotated_size_decides_whether_exif_counts(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    path = _save(tmp_path / f"a.{suffix}", orientation)
    upright = TURNS[orientation](_picture())
    as_stored = orientation > 4
    for annotated, expected in (
        (SIZE, _picture() if as_stored else upright),
        (SIZE[::-1], upright),
        ((7, 7), upright),
        (None, upright),
    ):
        image = read_image(path, annotated)
        assert image.shape == expected.shape
        assert np.abs(image.astype(int) - expected).mean() < 4
        assert image_size(path, annotated) == image.shape[:2]


@pytest.mark.parametrize("annotated", [SIZE, SIZE[::-1], None])
def test_a_turned_tiff_has_one_size(tmp_path: Path, annotated: tuple[int, int] | None) -> None:
    path = _save(tmp_path / "a.tif", 6)
    assert image_size(path, annotated) == read_image(path, annotated).shape[:2] == SIZE[::-1]


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0rubbish", b"Exif\0\0MM\xab*\0\0\0\x08", b"rubbish"]
)
@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_broken_exif_is_no_obstacle(tmp_path: Path, exif: bytes, form: str) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(_picture()).save(path, form, exif=exif)
    assert image_size(path) == read_image(path).shape[:2] == SIZE


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xd8", b"\xff\xd8\xff\xd9", b"\0" * 999])
@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_what_is_no_image_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for function in (read_image, image_size):
        with pytest.raises(DataError, match=f"{name} cannot be decoded: .*; restore it"):
            function(path)


def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "no.jpg", "No such file"), (tmp_path, "directory")):
        for function in (read_image, image_size):
            with pytest.raises(DataError, match=f"cannot be opened: .*{reason}"):
                function(path)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.7, 0.995])
def test_a_cut_off_image_is_refused(tmp_path: Path, form: str, share: float) -> None:
    path = tmp_path / "a.bin"
    noise = np.random.default_rng(0).integers(0, 256, (100, 120, 3), np.uint8)
    Image.fromarray(noise).save(path, form)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    if (form, share) == ("JPEG", 0.995):
        assert read_image(path).shape == (100, 120, 3)
        return
    with pytest.raises(DataError, match="truncated"):
        read_image(path)


@pytest.mark.parametrize("cut", [1, 2, 20, 100])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_without_its_end_is_read(
    tmp_path: Path, cut: int, progressive: bool, orientation: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    noise = np.random.default_rng(0).integers(0, 256, (200, 120, 3), np.uint8)
    Image.fromarray(noise).save(path, exif=exif, progressive=progressive, quality=90)
    intact = read_image(path)
    assert not lacks_end(path)
    path.write_bytes(path.read_bytes()[:-cut])
    assert lacks_end(path)
    image = read_image(path)
    assert image_size(path) == image.shape[:2] == intact.shape[:2]
    assert (np.abs(image.astype(int) - intact) < 3).all(axis=2).mean() > 0.9
    assert read_image(path, reduction=2).shape[:2] == reduced_size(intact.shape[:2], 2)
    assert capfd.readouterr() == ("", "")


@given(st.integers(2, len(_jpeg()) - 2))
@settings(max_examples=40, deadline=None)
def test_a_jpeg_cut_off_anywhere_is_refused_or_nearly_complete(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "a.jpg"
    path.write_bytes(_jpeg()[:length])
    try:
        image = read_image(path)
    except DataError:
        return
    assert (image[90] != 128).any()


def test_a_cut_off_jpeg_with_an_intact_thumbnail_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    thumbnail = b"Exif\0\0" + b"MM\0*\0\0\0\x08\0\0\0\0\0\0" + _jpeg((20, 20))
    Image.fromarray(_picture(200, 200)).save(path, exif=thumbnail)
    data = path.read_bytes()
    assert read_image(path).shape == (200, 200, 3)
    path.write_bytes(data[: len(data) // 2])
    assert lacks_end(path)


@pytest.mark.parametrize("tail", [b"\xff\xda", b"\xff\xd8\xff\xda\xff\xda", b"film" * 9])
def test_what_follows_an_intact_jpeg_does_not_count(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(_jpeg() + tail)
    assert read_image(path).shape == (100, 120, 3)


@pytest.mark.parametrize("how", [{"progressive": True}, {"restart_marker_rows": 1}, {"quality": 1}])
def test_kinds_of_jpeg(tmp_path: Path, how: dict[str, Any]) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(_picture()).save(path, **how)
    assert image_size(path) == read_image(path).shape[:2] == SIZE


SIDES = st.integers(1, 70)


@given(SIDES, SIDES, SIDES, SIDES, st.tuples(*[st.integers(0, 255)] * 3))
@settings(max_examples=80, deadline=None)
def test_a_plain_image_stays_plain_at_any_size(
    height: int, width: int, new_height: int, new_width: int, colour: tuple[int, int, int]
) -> None:
    image = np.full((height, width, 3), colour, np.uint8)
    resized = resize(image, (new_height, new_width))
    assert resized.shape == (new_height, new_width, 3)
    assert (resized == colour).all()


def test_the_same_size_gives_the_image_itself() -> None:
    image = _picture()
    assert resize(image, SIZE) is image


def test_shrinking_takes_all_pixels_into_account() -> None:
    stripes = np.zeros((90, 90, 3), np.uint8)
    stripes[:, ::3] = 240
    np.testing.assert_array_equal(resize(stripes, (30, 30)), np.full((30, 30, 3), 80, np.uint8))


def test_resizing_keeps_edges_where_they_are() -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    image[20:, 40:] = 255
    for size in ((120, 240), (45, 60), (15, 20)):
        resized = resize(image, size)[..., 0] >= 128
        y, x = size[0] // 3, size[1] // 2
        expected = np.zeros(size, bool)
        expected[y:, x:] = True
        assert (resized != expected).sum() <= 1


@pytest.mark.parametrize("size", [(12_400, 12_400), (20_000, 20_000), (1, 200_000_000)])
def test_a_huge_image_is_refused_by_its_header(tmp_path: Path, size: tuple[int, int]) -> None:
    """What follows the header is not read: half a gigabyte of a sparse file."""
    path = tmp_path / "huge.png"
    path.write_bytes(png_header(*size))
    os.truncate(path, 2**29)
    tracemalloc.start()
    with pytest.raises(DataError, match=rf"has {size[0] * size[1]:,} pixels, more than the 150,0"):
        read_image(path)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


def test_the_pictures_of_an_animation_are_counted_and_the_first_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ((200, 30, 10), (10, 30, 200))]
    for suffix in (".gif", ".png", ".webp"):
        path = tmp_path / f"a{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:])
        assert num_frames(path) == 2
        assert np.abs(read_image(path).mean(axis=(0, 1)) - (200, 30, 10)).max() < 10
    frames[0].save(tmp_path / "b.png")
    assert num_frames(tmp_path / "b.png") == 1
