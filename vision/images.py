"""Reading and resizing images, in the same way for training, evaluation and detection."""

# h and w the height and width of an image, H and W those after resizing

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from vision.image_file import decode, header_of, read_bytes

# OpenCV's flags by reduction. IMREAD_COLOR_RGB is combined with them; its own names imply BGR.
_REDUCED = {1: 0} | {n: getattr(cv2, f"IMREAD_REDUCED_GRAYSCALE_{n}") for n in (2, 4, 8)}
_EXIF_ORIENTATION = 0x0112
_SIDEWAYS = frozenset({5, 6, 7, 8})
_ROTATED_BY_DECODER = frozenset({"TIFF"})  # regardless of flags, by Pillow and OpenCV


def read_image(
    path: str | Path, annotated_size: tuple[int, int] | None = None, reduction: int = 1
) -> UInt8[ndarray, "h w 3"]:
    """The image as a viewer shows it: RGB, 8 bits, rotated by its EXIF orientation.

    Greyscale images get three equal channels, transparency is dropped, 16 bits become 8.

    Args:
        path: The file.
        annotated_size: (height, width) of the image when it was annotated, if known. Where only
            the stored image has that size, EXIF is ignored, since the boxes refer to the image
            without rotation.
        reduction: 2, 4 or 8 divides the sides while decoding, see `reduced_size`.

    Raises:
        DataError: If the file cannot be opened, is not an intact image, or has more than
            150 million pixels. A JPEG may lack its end, a sixteenth at most, which is grey.
    """
    data = read_bytes(Path(path))
    flags = cv2.IMREAD_COLOR_RGB | _REDUCED[reduction]
    image = decode(data, flags, path)
    if annotated_size is None:
        return image
    expected = reduced_size(annotated_size, reduction)
    if image.shape[:2] != expected:
        stored = decode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION, path)
        if stored.shape[:2] == expected:
            return stored
    return image


def reduced_size(size: tuple[int, int], reduction: int) -> tuple[int, int]:
    """(height, width) of a JPEG that `read_image` reads with this reduction."""
    return -(-size[0] // reduction), -(-size[1] // reduction)


def num_frames(path: str | Path) -> int:
    """Number of frames in a file: above 1 for an animation, whose first `read_image` reads."""
    try:
        with header_of(path) as image:
            return int(getattr(image, "n_frames", 1))
    except Exception:  # noqa: BLE001 - whatever Pillow's many readers raise at broken headers
        return 1


def image_size(path: str | Path, annotated_size: tuple[int, int] | None = None) -> tuple[int, int]:
    """(height, width) of the image that `read_image` gives, from the header where possible.

    Raises:
        DataError: If the file cannot be opened or is not an image.
    """
    try:
        with header_of(path) as image:
            stored = (image.height, image.width)
            is_sideways = image.getexif().get(_EXIF_ORIENTATION) in _SIDEWAYS
            is_header_enough = image.format not in _ROTATED_BY_DECODER
    except Exception:  # noqa: BLE001 - whatever Pillow's many readers raise at broken headers
        is_header_enough = False  # `read_image` decides, and reports what is wrong.
    if not is_header_enough:
        height, width = read_image(path, annotated_size).shape[:2]
        return height, width
    upright = stored[::-1] if is_sideways else stored
    return stored if annotated_size == stored else upright


def resize(image: UInt8[ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[ndarray, "H W 3"]:
    """The image resized to ``size`` (height, width), without keeping its aspect ratio.

    Bilinear; by area if a side shrinks to less than half, where bilinear would skip pixels.
    """
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    is_below_half = image.shape[0] > 2 * height or image.shape[1] > 2 * width
    method = cv2.INTER_AREA if is_below_half else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)
