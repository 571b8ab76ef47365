"""Conversion of all the forms in which users pass an image to an array of RGB."""

# h and w the height and width of an image

from collections.abc import Iterable, Mapping
from io import IOBase
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageOps
from torch import Tensor

from vision.errors import DataError
from vision.images import decode_image, read_image
from vision.urls import is_url, mask_url, read_url

__all__ = [
    "ImageInput",
    "are_many",
    "to_rgb",
]

ImageInput: TypeAlias = str | Path | bytes | Image.Image | ndarray | Tensor
"""One image: see `to_rgb`."""
CHANNELS = (1, 3, 4)
"""Numbers of channels of grey, RGB and RGBA."""
_NOT_MANY = (str, bytes, bytearray, memoryview, Image.Image, Mapping, IOBase)
"""Types that can be iterated over, but are one image or no image."""
_EXPECTED = (
    "expected a path, a URL, the bytes of a file, a PIL image, an array (height, width),"
    " (height, width, 3) or (height, width, 4), or a tensor with the channels first"
)


def to_rgb(image: object) -> UInt8[ndarray, "h w 3"]:
    """Convert an image in any of these forms to an array of RGB, 8 bits.

    Greyscale images get three equal channels, and transparency is dropped, as in `read_image`.

    Args:
        image: A path; an ``http`` or ``https`` URL of at most 50 MB; ``bytes``, the content of an
            image file; a PIL image, rotated by its EXIF orientation; an array (h, w), (h, w, 1),
            (h, w, 3) or (h, w, 4); or a tensor (h, w), (1, h, w), (3, h, w) or (4, h, w), on any
            device. Arrays and tensors are RGB: uint8, or floating point in [0, 1].

    Raises:
        DataError: If the image has another form, or cannot be read.
    """
    if isinstance(image, str) and is_url(image):
        return decode_image(read_url(image), mask_url(image))
    if isinstance(image, str) and not image:
        raise DataError("image: the path is empty; name a file or a URL, or pass pixels")
    if isinstance(image, str | Path):
        return read_image(image)
    if isinstance(image, bytes):
        return decode_image(image, f"of {len(image):,} bytes")
    if isinstance(image, Image.Image):
        return _of_array(_pil_pixels(image))
    if isinstance(image, Tensor):
        return _of_array(_last_channels(image))
    if isinstance(image, ndarray):
        return _of_array(image)
    hint = "; pass its content, file.read()" if isinstance(image, IOBase) else ""
    raise DataError(f"image: {_EXPECTED}, got {type(image).__name__}{hint}")


def are_many(images: object) -> bool:
    """Whether ``images`` is several images: an array of four dimensions, or another iterable."""
    if isinstance(images, ndarray | Tensor):
        return images.ndim == 4
    return isinstance(images, Iterable) and not isinstance(images, _NOT_MANY)


def _pil_pixels(image: Image.Image) -> ndarray:
    """Turn a PIL image upright, and return its pixels in 8 bits: RGB, or grey from 16 bits."""
    name = f"image {getattr(image, 'filename', '') or 'of PIL'}"
    try:
        upright = ImageOps.exif_transpose(image)
        if not upright.mode.startswith(("I", "F")):
            return np.asarray(upright.convert("RGB"))
        samples = np.asarray(upright)
    except (OSError, SyntaxError) as error:  # Pillow reads a file's pixels only now.
        raise DataError(f"{name} cannot be decoded: {error}") from error
    if upright.mode == "F" or samples.min() < 0 or samples.max() > np.iinfo(np.uint16).max:
        raise DataError(f"{name} has 32-bit samples; convert it to 8 bits")
    return (samples >> 8).astype(np.uint8)


def _last_channels(image: Tensor) -> ndarray:
    """Return a tensor's pixels as an array with the channels last."""
    image = image.detach().cpu()
    if image.ndim == 3:
        if image.shape[0] not in CHANNELS and image.shape[-1] in CHANNELS:
            raise DataError(
                f"image: expected a tensor with the channels first, got shape {tuple(image.shape)};"
                " pass image.permute(2, 0, 1)"
            )
        image = image.permute(1, 2, 0)
    pixels: ndarray = (image.float() if image.is_floating_point() else image).numpy()
    return pixels


def _of_array(array: ndarray) -> UInt8[ndarray, "h w 3"]:
    pixels = array[..., None] if array.ndim == 2 else array
    if pixels.ndim != 3 or pixels.shape[2] not in CHANNELS or not pixels.size:
        hint = ""
        if pixels.ndim == 3 and pixels.shape[0] in CHANNELS:
            hint = "; pass image.transpose(1, 2, 0)"
        raise DataError(f"image: {_EXPECTED}, got {array.dtype} of shape {array.shape}{hint}")
    if np.issubdtype(pixels.dtype, np.floating):
        if not (pixels.min() >= 0 and pixels.max() <= 1):  # also for NaN
            low, high = float(pixels.min()), float(pixels.max())
            raise DataError(
                f"image: expected floating point from 0 to 1, got {low:g} to {high:g}; pass uint8,"
                " or undo the normalisation"
            )
        pixels = (pixels * 255).round().astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise DataError(
            f"image: expected uint8 or floating point from 0 to 1, got {pixels.dtype} of shape"
            f" {array.shape}; convert it to 8 bits"
        )
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels[..., :3])
