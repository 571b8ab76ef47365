"""Reading an image and resizing it: the one way for training, evaluation and detection."""

import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from vision.errors import DataError

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "image_size",
    "num_pictures",
    "read_image",
    "reduced_size",
    "resize",
]

MAX_PIXELS = 150_000_000
"""The largest image that is read: 450 MB of memory."""
MAX_BYTES = 2**30
"""The largest file."""


IMAGE_SUFFIXES = frozenset(
    {
        ".bmp",
        ".gif",
        ".jpeg",
        ".jpg",
        ".jp2",
        ".pbm",
        ".pgm",
        ".png",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    }
)
# OpenCV's flags by fraction; its names for them ask for BGR besides.
_REDUCED = {
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
_HEADER_LOCK = threading.Lock()
_EXIF_ORIENTATION = 0x0112
_SIDEWAYS = frozenset({5, 6, 7, 8})
_TURNED_BY_DECODER = frozenset({"TIFF"})  # whether Pillow and OpenCV are told to or not
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # but those without a length


def read_image(
    path: str | Path, annotated_size: tuple[int, int] | None = None, reduction: int = 1
) -> UInt8[ndarray, "h w 3"]:
    """The image as a person sees it: RGB, 8 bits, turned as its EXIF orientation says.

    Grey images get three equal channels, transparency is dropped, 16 bits become 8.

    Args:
        path: The file.
        annotated_size: (height, width) that boxes were drawn on, if known. Where only the picture
            as stored has that size, EXIF is left aside: the boxes were drawn on it unturned.
        reduction: 2, 4 or 8 for an image of a fraction of its sides, see `reduced_size`.

    Raises:
        DataError: If the file cannot be opened, is not a whole image, or announces more than
            `MAX_PIXELS`.
    """
    data = _read_bytes(Path(path))
    flags = cv2.IMREAD_COLOR_RGB | _REDUCED[reduction]
    image = _decode(data, flags, path)
    if annotated_size is None:
        return image
    expected = reduced_size(annotated_size, reduction)
    if image.shape[:2] != expected:
        stored = _decode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION, path)
        if stored.shape[:2] == expected:
            return stored
    return image


def reduced_size(size: tuple[int, int], reduction: int) -> tuple[int, int]:
    """(height, width) of what `read_image` gives of a JPEG at a fraction of its sides."""
    return -(-size[0] // reduction), -(-size[1] // reduction)


def _read_bytes(path: Path) -> bytes:
    """A file's content, once it is known to be a plain file that announces no huge image.

    Raises:
        DataError: If it is none.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise DataError(f"image {path} is no plain file; remove it from the data")
            if about.st_size > MAX_BYTES:
                raise DataError(
                    f"image {path} is a file of {about.st_size:,} bytes, more than the"
                    f" {MAX_BYTES:,} that are read; remove it from the data"
                )
            _check_pixels(file, path)
            file.seek(0)
            return file.read()
    except OSError as error:
        raise DataError(f"image {path} cannot be opened: {error.strerror or error}") from error


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for somebody to write, as a pipe would."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_pixels(file: BinaryIO, path: Path) -> None:
    """Refuse an image before memory is spent on it; what has no known header is no image."""
    try:
        with _header(file) as image:
            pixels = image.width * image.height
    except Image.DecompressionBombError as error:
        pixels = int(re.findall(r"\d+", str(error))[0])  # "Image size (400000000 pixels) exceeds"
    except Exception as error:  # whatever Pillow's many readers raise at broken headers
        raise _not_decoded(path) from error
    if pixels > MAX_PIXELS:
        raise DataError(
            f"image {path} has {pixels:,} pixels, more than the {MAX_PIXELS:,} that are read;"
            " resize or cut it, or remove it from the data"
        )


def _not_decoded(path: str | Path) -> DataError:
    return DataError(
        f"image {path} cannot be decoded: it is empty, cut off or not an image;"
        " restore it, or remove it from the data"
    )


@contextmanager
def _header(file: str | Path | BinaryIO) -> Iterator[Image.Image]:
    """Pillow's view of an image, nothing decoded, without its warning of large ones."""
    with _HEADER_LOCK, warnings.catch_warnings():  # which is not made for several threads
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(file)
    with image:
        yield image


def num_pictures(path: str | Path) -> int:
    """Pictures in a file: more than one in an animation, of which `read_image` gives the first."""
    try:
        with _header(path) as image:
            return int(getattr(image, "n_frames", 1))
    except Exception:  # noqa: BLE001 - whatever Pillow's many readers raise at broken headers
        return 1


def _decode(data: bytes, flags: int, path: str | Path) -> UInt8[ndarray, "h w 3"]:
    try:
        image = None if _is_cut_off(data) else cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None or image.ndim != 3 or image.dtype != np.uint8:
        raise _not_decoded(path)
    return np.asarray(image, np.uint8)


def _is_cut_off(data: bytes) -> bool:
    """Whether a JPEG ends before its end marker, which some decoders pass over.

    Walks from marker to marker, since a thumbnail inside the file has an end marker of its own
    and what follows the end (the film of a phone's moving picture) may hold any bytes.
    """
    if not data.startswith(_JPEG_START):
        return False
    position = len(_JPEG_START)
    while found := _JPEG_MARKER.search(data, position):
        if found.group() == _JPEG_END:
            return False
        position = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return True


def image_size(path: str | Path, annotated_size: tuple[int, int] | None = None) -> tuple[int, int]:
    """(height, width) of what `read_image` gives, from the file's header where that will do.

    Raises:
        DataError: If the file cannot be opened or is not an image.
    """
    try:
        with _header(path) as image:
            stored = (image.height, image.width)
            turned = image.getexif().get(_EXIF_ORIENTATION) in _SIDEWAYS
            is_plain = image.format not in _TURNED_BY_DECODER
    except Exception:  # noqa: BLE001 - whatever Pillow's many readers raise at broken headers
        is_plain = False  # for `read_image` to decide, and to say what is wrong
    if not is_plain:
        height, width = read_image(path, annotated_size).shape[:2]
        return height, width
    upright = stored[::-1] if turned else stored
    return stored if annotated_size == stored else upright


def resize(image: UInt8[ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[ndarray, "H W 3"]:
    """The image stretched to ``size`` (height, width).

    Bilinear; by area where a side shrinks to less than half, since bilinear would skip pixels.
    """
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    halved = image.shape[0] > 2 * height or image.shape[1] > 2 * width
    method = cv2.INTER_AREA if halved else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)
