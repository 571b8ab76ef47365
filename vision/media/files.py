"""Writing image files, and names of files."""

# h and w the height and width of an image

import glob
import re
from pathlib import Path
from urllib.parse import urlsplit

import cv2
from jaxtyping import UInt8
from numpy import ndarray

from vision.atomic import replacing
from vision.errors import DataError

WRITTEN_IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def write_image(path: str | Path, image: UInt8[ndarray, "h w 3"]) -> None:
    """Write an RGB image in the format that the file's suffix names, creating its folder.

    The file is complete when it appears; an existing one is replaced.

    Raises:
        DataError: If the suffix is not one of `WRITTEN_IMAGE_SUFFIXES`, the image is too large for
            the format, or the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITTEN_IMAGE_SUFFIXES:
        accepted = " ".join(sorted(WRITTEN_IMAGE_SUFFIXES))
        raise DataError(f"image {path} cannot be written: its suffix must be one of {accepted}")
    try:
        encoded, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except cv2.error:
        encoded = False
    if not encoded:
        height, width = image.shape[:2]
        raise DataError(
            f"image {path} cannot be written: {suffix} does not hold {width} x {height} pixels"
        )
    try:
        with replacing(path, sync=False) as partial:
            partial.write_bytes(data.tobytes())
    except OSError as error:
        raise DataError(f"image {path} cannot be written: {error.strerror or error}") from error


def url_file_name(url: str) -> str:
    """A file name for a URL, without any user name or password."""
    parts = urlsplit(url)
    name = re.sub(r"[^A-Za-z0-9]+", "_", f"{parts.hostname or ''}{parts.path}")
    return name.strip("_") or "stream"


def fixed_part(pattern: Path) -> Path:
    """The folder above the first part of a glob pattern that has wildcards."""
    folder = Path()
    for part in pattern.parts[:-1]:
        if glob.has_magic(part) and not (folder / part).is_dir():
            break
        folder /= part
    return folder
