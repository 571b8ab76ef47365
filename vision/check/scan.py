"""Decoding each image once, in threads: decoders and hashes release Python's lock."""

# h and w the height and width of an image

import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from jaxtyping import UInt8
from numpy import ndarray
from PIL.ExifTags import Base

from vision.data.cache import reduced
from vision.data.duplicates import image_hash
from vision.device import num_cores
from vision.errors import DataError
from vision.files import read_bytes
from vision.formats import Record
from vision.image_info import lacks_end
from vision.images import header_of
from vision.progress import progress

UPRIGHT = 1
HASH_SIZE = (64, 64)
"""(height, width) of the images to hash; larger photographs are decoded at reduced size."""


class Scan(NamedTuple):
    """Properties of an image file.

    Attributes:
        digest: SHA-256 of the file's content, empty if there is no file.
        pixels: The picture's hash (`vision.data.duplicates.image_hash`), None if unreadable.
        orientation: EXIF's orientation, 1 for upright.
        is_jpeg: Whether it is a JPEG.
        is_truncated: Whether its end is missing.
        error: Why it cannot be read, empty if it can.
    """

    digest: bytes = b""
    pixels: UInt8[ndarray, "32"] | None = None
    orientation: int = UPRIGHT
    is_jpeg: bool = False
    is_truncated: bool = False
    error: str = ""


def scan_images(records: Sequence[Record]) -> list[Scan]:
    """Decode the images of all records, one thread for each core."""
    with ThreadPoolExecutor(num_cores()) as pool:
        scans = pool.map(_scan, records)
        return list(progress(scans, "check", len(records), unit=" images", delay=1))


def _scan(record: Record) -> Scan:
    file = record.file
    try:
        pixels = image_hash(reduced(record, HASH_SIZE).load())
        if file is None:  # a synthetic image
            return Scan(pixels=pixels)
        data = read_bytes(file)
        with header_of(io.BytesIO(data), Path(record.image_id)) as header:
            orientation = int(header.getexif().get(Base.Orientation, UPRIGHT))
            is_jpeg = header.format in {"JPEG", "MPO"}
        return Scan(hashlib.sha256(data).digest(), pixels, orientation, is_jpeg, lacks_end(file))
    except (DataError, OSError) as error:
        return Scan(error=str(error))
