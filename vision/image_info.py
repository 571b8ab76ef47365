"""What is known about an image file without decoding it: size, frames, and a missing end."""

import os
from io import BytesIO

from PIL.ExifTags import Base

from vision.errors import DataError
from vision.files import AnyFile, open_regular
from vision.images import JPEG_END, JPEG_START, header_of, is_truncated, read_image

_SIDEWAYS = frozenset({5, 6, 7, 8})
_ROTATED_BY_DECODER = frozenset({"TIFF"})  # regardless of flags, by Pillow and OpenCV


def image_size(
    path: str | AnyFile, annotated_size: tuple[int, int] | None = None
) -> tuple[int, int]:
    """(height, width) of the image that `read_image` returns, from the header where possible.

    Raises:
        DataError: If the file cannot be opened or is not an image.
    """
    try:
        with header_of(path, str(path)) as image:
            stored = (image.height, image.width)
            is_sideways = image.getexif().get(Base.Orientation) in _SIDEWAYS
            is_header_enough = image.format not in _ROTATED_BY_DECODER
    except DataError:
        is_header_enough = False  # `read_image` decides, and reports what is wrong.
    if not is_header_enough:
        height, width = read_image(path, annotated_size).shape[:2]
        return height, width
    upright = stored[::-1] if is_sideways else stored
    return stored if annotated_size == stored else upright


def num_frames(file: str | AnyFile | BytesIO) -> int:
    """Number of frames in an image file or its content: above 1 for an animation."""
    try:
        with header_of(file, "") as image:
            return int(getattr(image, "n_frames", 1))
    except DataError:
        return 1


def lacks_end(path: str | AnyFile) -> bool:
    """Whether a file is a JPEG whose end is missing; `read_image` may still accept it."""
    with open_regular(path) as file:
        start = file.read(len(JPEG_START))
        file.seek(max(0, file.seek(0, os.SEEK_END) - len(JPEG_END)))
        if start != JPEG_START or file.read() == JPEG_END:
            return False
        file.seek(0)
        return is_truncated(file.read())
