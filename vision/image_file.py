"""Image files: what is opened and decoded, and the errors of what is not."""

# h and w the height and width of an image

import errno
import io
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from vision.errors import DataError

MAX_PIXELS = 150_000_000
"""Largest image that is read: 450 MB of memory."""
MAX_BYTES = 2**30
"""Largest file that is read."""

_FORMATS = (
    "avif bmp gif ico jfif jp2 jpe jpeg jpg mpo pbm pgm png ppm tif tiff webp"  # space-separated
)
IMAGE_SUFFIXES = frozenset(f".{name}" for name in _FORMATS.split())
_OTHER_FORMATS = "arw cr2 cr3 dng exr heic heif jxl nef orf psd raf svg tga"
OTHER_IMAGE_SUFFIXES = frozenset(f".{name}" for name in _OTHER_FORMATS.split())
"""Suffixes of images that are not read."""
MAX_MISSING = 1 / 16
"""Largest part of a JPEG's rows that may be missing at its end."""

_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_32_BITS = "image {} has 32-bit samples; convert it to 8 bits"
_DECODED_BY_PILLOW = frozenset({"AVIF", "ICO"})  # not by every OpenCV
_HEADER_LOCK = threading.Lock()
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_MISSING = 128  # the grey that decoders give to what a JPEG lacks
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # except those without a length


def read_bytes(path: Path) -> bytes:
    """The content of a file, which must be a regular file whose header states no huge image.

    Raises:
        DataError: If it is not, or cannot be opened.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise DataError(
                    f"image {path} is a file of {size:,} bytes, more than the {MAX_BYTES:,} that"
                    " are read; remove it from the data"
                )
            _check_pixels(file, path)
            file.seek(0)
            return file.read()
    except OSError as error:
        raise DataError(f"image {path} cannot be opened: {error.strerror or error}") from error


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file to read; all but a regular one is an OSError: a named pipe waits for a writer."""
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NONBLOCK))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return file


def _check_pixels(file: BinaryIO, path: Path) -> None:
    """Refuse a huge image, or a file without an image header, before memory is allocated."""
    try:
        with header_of(file) as image:
            pixels = image.width * image.height
            is_float = image.mode == "F"
    except Image.DecompressionBombError as error:
        pixels = int(re.findall(r"\d+", str(error))[0])  # "Image size (400000000 pixels) exceeds"
        is_float = False
    except Exception as error:  # whatever Pillow's many readers raise at broken headers
        raise _not_decoded(path) from error
    if is_float:
        raise DataError(_32_BITS.format(path))
    if pixels > MAX_PIXELS:
        raise DataError(
            f"image {path} has {pixels:,} pixels, more than the {MAX_PIXELS:,} that are read;"
            " resize or cut it, or remove it from the data"
        )


def _not_decoded(path: str | Path, header: Image.Image | None = None) -> DataError:
    suffix = Path(path).suffix.lower()
    if suffix in OTHER_IMAGE_SUFFIXES:
        return DataError(f"image {path}: {suffix} files are not read; convert it to JPEG or PNG")
    if header is not None and header.mode == "I":
        return DataError(_32_BITS.format(path))
    return DataError(
        f"image {path} cannot be decoded: it is empty, truncated or not an image;"
        " restore it, or remove it from the data"
    )


@contextmanager
def header_of(source: str | Path | BinaryIO | io.BytesIO) -> Iterator[Image.Image]:
    """Pillow's image, not decoded, without its warning for large images."""
    with open_regular(source) if isinstance(source, str | Path) else nullcontext(source) as file:
        with _HEADER_LOCK, warnings.catch_warnings():  # catch_warnings is not thread-safe.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file)
        with image:
            yield image


def decode(data: bytes, flags: int, path: str | Path) -> UInt8[ndarray, "h w 3"]:
    """The RGB image of a file's content, by OpenCV's ``flags``.

    Raises:
        DataError: If it cannot be decoded.
    """
    if _is_truncated(data):
        data = _complete(data, path)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        with _pillow_errors(path), header_of(io.BytesIO(data)) as header:
            if header.format not in _DECODED_BY_PILLOW:
                raise _not_decoded(path, header)
            image = cv2.imdecode(np.frombuffer(_as_png(header), np.uint8), flags)
    if image is None or image.ndim != 3 or image.dtype != np.uint8:
        raise _not_decoded(path)
    return np.asarray(image, np.uint8)


@contextmanager
def _pillow_errors(path: str | Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # whatever Pillow's many readers raise at broken files
        raise _not_decoded(path) from error


def _as_png(image: Image.Image) -> bytes:
    """The image in a format without loss, with its orientation."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG", exif=image.getexif(), compress_level=0)
    return buffer.getvalue()


def _complete(data: bytes, path: str | Path) -> bytes:
    """A truncated JPEG as an image whose missing end is grey, if it is no more than a small part.

    OpenCV refuses what is truncated, or writes warnings to the terminal.
    """
    with _pillow_errors(path), header_of(io.BytesIO(data + _JPEG_END)) as image:
        pixels = np.asarray(image.convert("RGB"))
        is_grey = (pixels == _MISSING).all(axis=(1, 2))
        missing = len(pixels) if is_grey.all() else int(np.argmin(is_grey[::-1]))
        if missing > MAX_MISSING * len(pixels):
            raise _not_decoded(path)
        return _as_png(image)


def lacks_end(path: str | Path) -> bool:
    """Whether a file is a JPEG whose end is missing. `vision.images.read_image` may read it."""
    with open_regular(path) as file:
        start = file.read(len(_JPEG_START))
        file.seek(max(0, os.fstat(file.fileno()).st_size - len(_JPEG_END)))
        if start != _JPEG_START or file.read() == _JPEG_END:
            return False
        file.seek(0)
        return _is_truncated(file.read())


def _is_truncated(data: bytes) -> bool:
    """Whether a JPEG ends before its end marker, which some decoders do not report.

    The search goes from marker to marker, since a thumbnail inside the file has its own end marker
    and the data after the end (the video of a phone's live photo) may contain any bytes.
    """
    if not data.startswith(_JPEG_START):
        return False
    position = len(_JPEG_START)
    while marker := _JPEG_MARKER.search(data, position):
        if marker.group() == _JPEG_END:
            return False
        position = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return True
