"""Reading and resizing images, in the same way for training, evaluation and detection."""

# h and w the height and width of an image, H and W those after resizing

import io
import re
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
from vision.files import AnyFile, open_regular, read_bytes

MAX_PIXELS = 150_000_000
"""Maximum number of pixels of an image: 450 MB of memory."""
MAX_BYTES = 2**30
"""Maximum size of an image file in bytes."""
MAX_MISSING = 1 / 16
"""Maximum fraction of a JPEG's rows that may be missing at its end."""

_READ = ".avif .bmp .gif .ico .jfif .jp2 .jpe .jpeg .jpg .mpo .pbm .pgm .png .ppm .tif .tiff .webp"
IMAGE_SUFFIXES = frozenset(_READ.split())
_NOT_READ = ".arw .cr2 .cr3 .dng .exr .heic .heif .jxl .nef .orf .psd .raf .svg .tga"
OTHER_IMAGE_SUFFIXES = frozenset(_NOT_READ.split())
"""Suffixes of image formats that are not supported."""

# OpenCV's flags by reduction, to combine with IMREAD_COLOR_RGB: its own for colour imply BGR.
_REDUCED = {1: 0} | {n: getattr(cv2, f"IMREAD_REDUCED_GRAYSCALE_{n}") for n in (2, 4, 8)}
_OR_REMOVE = ", or remove it from the data"
_32_BITS = "image {} has 32-bit samples; convert it to 8 bits"
_DECODED_BY_PILLOW = frozenset({"AVIF", "ICO"})  # not in every OpenCV
_HEADER_LOCK = threading.Lock()
_MISSING = 128  # the grey with which decoders fill the missing part of a JPEG
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # except markers without a length


def read_image(
    path: str | AnyFile, annotated_size: tuple[int, int] | None = None, reduction: int = 1
) -> UInt8[ndarray, "h w 3"]:
    """Read an image as a viewer shows it: RGB, 8 bits, rotated by its EXIF orientation.

    Greyscale images get three equal channels, transparency is dropped, and 16 bits become 8.

    Args:
        path: The file, or a file inside a tar.
        annotated_size: (height, width) of the image when it was annotated, if known. If only the
            stored image has that size, EXIF is ignored, since the boxes refer to the image
            without rotation.
        reduction: 2, 4 or 8 divides the sides by it while decoding; see `reduced_size`.

    Raises:
        DataError: If the file cannot be opened, is not an intact image, or has more than
            150 million pixels. Up to a sixteenth of a JPEG may be missing at its end; it is grey.
    """
    file, path = path, Path(path)
    try:
        data = read_bytes(file, MAX_BYTES, lambda opened: _check_header(opened, path))
    except OSError as error:
        raise DataError(f"image {path} cannot be opened: {error.strerror or error}") from error
    flags = cv2.IMREAD_COLOR_RGB | _REDUCED[reduction]
    image = _decode(data, flags, path)
    expected = annotated_size and reduced_size(annotated_size, reduction)
    if expected is None or image.shape[:2] == expected:
        return image
    stored = _decode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION, path)
    return stored if stored.shape[:2] == expected else image


def decode_image(data: bytes, name: str) -> UInt8[ndarray, "h w 3"]:
    """Decode a file's content as `read_image` does; errors call the image ``name``."""
    _check_header(io.BytesIO(data), name)
    return _decode(data, cv2.IMREAD_COLOR_RGB, name)


def reduced_size(size: tuple[int, int], reduction: int) -> tuple[int, int]:
    """(height, width) of a JPEG after `read_image` with this reduction."""
    return -(-size[0] // reduction), -(-size[1] // reduction)


def resize(image: UInt8[ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[ndarray, "H W 3"]:
    """Resize an image to ``size`` (height, width), without keeping its aspect ratio.

    Bilinear, or by area if a side shrinks to less than half, where bilinear would skip pixels.
    """
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    is_below_half = image.shape[0] > 2 * height or image.shape[1] > 2 * width
    method = cv2.INTER_AREA if is_below_half else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def _check_header(file: BinaryIO | io.BytesIO, path: str | Path) -> None:
    """Raise DataError for an image with too many pixels, or with 32-bit samples."""
    with header_of(file, path) as image:
        _check_pixels(image.width * image.height, path)
        if image.mode == "F":
            raise DataError(_32_BITS.format(path))


def _check_pixels(count: int, path: str | Path) -> None:
    """Raise DataError for a huge image before memory is allocated."""
    if count > MAX_PIXELS:
        raise DataError(
            f"image {path} has {count:,} pixels, more than the {MAX_PIXELS:,} that are read;"
            f" resize or crop it{_OR_REMOVE if isinstance(path, Path) else ''}"
        )


@contextmanager
def header_of(
    source: str | AnyFile | BinaryIO | io.BytesIO, path: str | Path
) -> Iterator[Image.Image]:
    """Open an image in Pillow without decoding it; any error becomes a DataError about ``path``."""
    try:
        opened = open_regular(source) if isinstance(source, str | AnyFile) else nullcontext(source)
        with opened as file:
            with _HEADER_LOCK, warnings.catch_warnings():  # catch_warnings is not thread-safe.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                image = Image.open(file)
            with image:
                yield image
    except DataError:
        raise
    except Exception as error:  # Pillow's readers raise many types for broken files.
        if isinstance(error, Image.DecompressionBombError):  # "Image size (400000000 pixels) ..."
            _check_pixels(int(re.findall(r"\d+", str(error))[0]), path)
        raise _not_decoded(path) from error


def _not_decoded(path: str | Path, header: Image.Image | None = None) -> DataError:
    suffix = Path(path).suffix.lower()
    if suffix in OTHER_IMAGE_SUFFIXES:
        return DataError(f"image {path}: {suffix} files are not read; convert it to JPEG or PNG")
    if header is not None and header.mode == "I":
        return DataError(_32_BITS.format(path))
    is_file = isinstance(path, Path)  # otherwise content that was passed
    remedy = f"restore it{_OR_REMOVE}" if is_file else "pass the complete content of an image file"
    return DataError(
        f"image {path} cannot be decoded: it is empty, truncated or not an image; {remedy}"
    )


def _decode(data: bytes, flags: int, path: str | Path) -> UInt8[ndarray, "h w 3"]:
    """Decode a file's content to RGB with OpenCV's ``flags``."""
    if is_truncated(data):
        data = _complete(data, path)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        with header_of(io.BytesIO(data), path) as header:
            if header.format not in _DECODED_BY_PILLOW:
                raise _not_decoded(path, header)
            image = cv2.imdecode(np.frombuffer(_as_png(header), np.uint8), flags)
    if image is None or image.ndim != 3 or image.dtype != np.uint8:
        raise _not_decoded(path)
    return np.asarray(image, np.uint8)


def _complete(data: bytes, path: str | Path) -> bytes:
    """Convert a truncated JPEG, which OpenCV would refuse or warn of, to a PNG with a grey end."""
    with header_of(io.BytesIO(data + JPEG_END), path) as image:
        is_grey = (np.asarray(image.convert("RGB")) == _MISSING).all(axis=(1, 2))
        end = max(np.flatnonzero(~is_grey), default=-1) + 1
        if len(is_grey) - end > MAX_MISSING * len(is_grey):
            raise _not_decoded(path)
        return _as_png(image)


def is_truncated(data: bytes) -> bool:
    """Whether a JPEG ends before its end marker, which some decoders do not report.

    The search goes from marker to marker, since a thumbnail inside the file has its own end marker
    and the data after the end (the video of a phone's live photo) may contain any bytes.
    """
    position = len(JPEG_START)
    while data.startswith(JPEG_START) and (marker := _JPEG_MARKER.search(data, position)):
        if marker.group() == JPEG_END:
            return False
        position = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return data.startswith(JPEG_START)


def _as_png(image: Image.Image) -> bytes:
    """Encode an image without loss, keeping its EXIF orientation."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG", exif=image.getexif(), compress_level=0)
    return buffer.getvalue()
