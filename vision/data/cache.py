"""Faster reading: large photographs are decoded at reduced size; decoded images are cached."""

# h, w: height and width of an image; H, W: those after resizing

import hashlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache, partial
from math import prod
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from vision.atomic import replacing
from vision.errors import DataError
from vision.files import Member, expand_home
from vision.formats.records import Record
from vision.images import read_image, reduced_size, resize
from vision.progress import progress

logger = logging.getLogger(__name__)

REDUCTIONS = (8, 4, 2)
CHUNK = 64
"""Number of images that are decoded in parallel before they are written."""
MIN_RATIO = 2
"""Minimum ratio of a reduced image's sides to the network input's, so that crops stay sharp."""


def reduced(record: Record, image_size: tuple[int, int]) -> Record:
    """Return a record whose image is decoded at 1/2, 1/4 or 1/8 size if it is larger than needed.

    JPEG decoders then skip the high frequencies, which saves most of the time. Both sides stay at
    least twice those of the network's input.

    Args:
        record: The record of an image; that of a synthetic image is returned unchanged.
        image_size: (height, width) of the network's input.
    """
    if not isinstance(record.read, partial) or record.read.func is not read_image:
        return record
    for factor in REDUCTIONS:
        size = reduced_size(record.size, factor)
        if all(side >= MIN_RATIO * needed for side, needed in zip(size, image_size, strict=True)):
            scale = np.array([size[1] / record.size[1], size[0] / record.size[0]] * 2, np.float32)
            return replace(
                record,
                read=partial(_read_reduced, record.read, factor, size),
                size=size,
                boxes=record.boxes * scale,
                areas=record.areas * (scale[0] * scale[1]),
            )
    return record


def _read_reduced(
    read: Callable[..., UInt8[ndarray, "h w 3"]], factor: int, size: tuple[int, int]
) -> UInt8[ndarray, "H W 3"]:
    """Read an image at 1/``factor`` size. Decoders of formats other than JPEG round sides down."""
    image = read(reduction=factor)
    gaps = [abs(side - expected) for side, expected in zip(image.shape[:2], size, strict=True)]
    return resize(image, size) if max(gaps) <= 1 else image


def cached(records: Sequence[Record], folder: Path) -> list[Record]:
    """Write all decoded images to one file, unless it exists, and return records that read it.

    Processes map the file into memory, so that the operating system keeps one copy of its pages
    for all of them while there is room. The file's name is a hash of the images' paths, sizes and
    modification times, so that a changed data set gets another file.

    Raises:
        DataError: If an image cannot be read, or the file cannot be written.
    """
    path = expand_home(folder) / f"{_fingerprint(records)}.images"
    sizes = [prod(record.size) * 3 for record in records]
    offsets = [0, *np.cumsum(sizes, dtype=np.int64).tolist()]
    if not path.is_file() or path.stat().st_size != offsets[-1]:
        _write(records, path)
    logger.info("cache: %d images, %.0f MB in %s", len(records), offsets[-1] / 1e6, path)
    return [
        replace(record, read=partial(_read, path, offset, record.size))
        for record, offset in zip(records, offsets, strict=False)
    ]


def _fingerprint(records: Sequence[Record]) -> str:
    digest = hashlib.sha256()
    for record in records:
        path = Path(record.image_id)
        file = record.file.archive if isinstance(record.file, Member) else record.file
        state = file.stat() if file is not None and file.is_file() else None
        version = None if state is None else (state.st_size, state.st_mtime_ns)
        digest.update(f"{path.absolute()} {version} {record.size}\n".encode(errors="replace"))
    return digest.hexdigest()[:16]


def _write(records: Sequence[Record], path: Path) -> None:
    try:
        with (
            replacing(path) as partial_path,
            partial_path.open("wb") as file,
            ThreadPoolExecutor() as pool,
        ):
            bar = progress(range(0, len(records), CHUNK), "cache")
            for start in bar:
                for image in pool.map(Record.load, records[start : start + CHUNK]):
                    file.write(image.tobytes())
    except OSError as error:
        raise DataError(
            f"cache {path} cannot be written ({error.strerror or error}); make room, set"
            " data.cache to another folder, or leave it out"
        ) from error


def _read(path: Path, offset: int, size: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
    """An image in the cache file, as a view of the mapped memory that all processes share."""
    end = offset + prod(size) * 3
    try:
        state = path.stat()
        if state.st_size < end:
            raise DataError(f"cache {path} is truncated; delete it")
        pixels = _mapped(path, (state.st_ino, state.st_size, state.st_mtime_ns))
    except OSError as error:
        raise DataError(f"cache {path} cannot be read: {error.strerror or error}") from error
    return pixels[offset:end].reshape(*size, 3)


@lru_cache(maxsize=4)  # The last argument changes with the file.
def _mapped(path: Path, _: tuple[int, int, int]) -> UInt8[ndarray, "bytes"]:
    """Map a file into memory, copy-on-write: changes stay within this process."""
    return np.asarray(np.memmap(path, np.uint8, mode="c"))
