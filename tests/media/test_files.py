"""Writing images: what is read back is what was written, and nothing half-written stays."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.media.samples import make_files, plain
from vision.errors import DataError
from vision.images import read_image
from vision.media import write_image


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp", "new/deep/Löwe 猫.PNG"])
def test_images_are_read_back_as_written(tmp_path: Path, name: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (17, 31, 3), np.uint8)
    write_image(tmp_path / name, plain(0))
    write_image(str(tmp_path / name), image[:, ::-1])
    np.testing.assert_array_equal(read_image(tmp_path / name), image[:, ::-1])
    assert [path.name for path in (tmp_path / name).parent.iterdir()] == [Path(name).name]


def test_a_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    image = plain(0)
    image[...] = (200, 100, 20)
    write_image(tmp_path / "a.jpg", image)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - image).max() < 4


@pytest.mark.parametrize("mode", ["grey", "with alpha"])
def test_grey_and_transparent_images_come_out_in_colour(tmp_path: Path, mode: str) -> None:
    stored = plain(77)[..., 0] if mode == "grey" else np.full((48, 64, 4), 77, np.uint8)
    cv2.imwrite(str(tmp_path / "in.png"), stored)
    write_image(tmp_path / "out.png", read_image(tmp_path / "in.png"))
    np.testing.assert_array_equal(read_image(tmp_path / "out.png"), plain(77))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.gif", r"suffix must be one of \.bmp"),
        ("a", "suffix must be one of"),
        ("file/a.png", "(Not a directory|File exists)"),
        ("folder.png", "Is a directory"),
        ("a" * 260 + ".png", "File name too long"),
    ],
)
def test_images_that_cannot_be_written(tmp_path: Path, name: str, message: str) -> None:
    make_files(tmp_path, "file", "folder.png/x")
    with pytest.raises(DataError, match=f"cannot be written: .*{message}"):
        write_image(tmp_path / name, plain(0))
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder.png"}


@pytest.mark.parametrize(("height", "width"), [(0, 10), (1, 70_000)])
def test_images_that_a_format_does_not_hold(tmp_path: Path, height: int, width: int) -> None:
    with pytest.raises(DataError, match=f"does not hold {width} x {height} pixels"):
        write_image(tmp_path / "a.jpg", plain(0, height, width))
    assert not list(tmp_path.iterdir())
