"""Split images into training and validation data by a seed.

Near duplicates stay together on one side. So that images keep their side when others are added, a
run records ``val_below``, the limit below which an image's number makes it a validation image.
"""

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from jaxtyping import UInt8
from numpy import ndarray

from vision.data.build import count_unignored
from vision.data.cache import reduced
from vision.data.duplicates import duplicate_groups, image_hash
from vision.errors import DataError
from vision.files import expand_home
from vision.formats import Annotations, Fault, Record, read_data
from vision.formats.folders import Layout
from vision.progress import progress

logger = logging.getLogger(__name__)

VAL_FRACTION = 0.2
MIN_VAL = 4
"""Minimum number of validation images, limited to a third of all images."""
HASH_SIZE = (128, 128)
"""Minimum (height, width) at which photographs are decoded to find near duplicates."""


def read_undivided(
    layout: Layout, undivided: str, root: str
) -> tuple[Annotations, dict[str, list[Record]]]:
    """Read the images to split, and group near duplicates by the first of their names."""
    folder = expand_home(root)
    folder = folder if folder.is_dir() else folder.parent
    keys = tuple(layout.splits[undivided].items())
    return _read_once(layout.format, keys, folder, _state(folder))


def _state(folder: Path) -> tuple[int, int, int]:
    """Number, total size and latest modification time of the files below a folder."""
    states = [file.stat() for file in folder.rglob("*") if file.is_file()]
    sizes = sum(state.st_size for state in states)
    return len(states), sizes, max((state.st_mtime_ns for state in states), default=0)


@lru_cache(maxsize=1)  # Serves both sides of a split; the last argument changes with the files.
def _read_once(
    format_: str, keys: tuple[tuple[str, str], ...], folder: Path, _: tuple[int, int, int]
) -> tuple[Annotations, dict[str, list[Record]]]:
    annotations = read_data(format_, **dict(keys))
    with ThreadPoolExecutor() as pool:
        results = pool.map(_hash, annotations.records)
        hashes = list(progress(results, "near duplicates", len(annotations.records)))
    pairs = list(zip(annotations.records, hashes, strict=True))
    annotations.faults += [fault for _, fault in pairs if isinstance(fault, Fault)]
    readable = [(record, result) for record, result in pairs if not isinstance(result, Fault)]
    annotations.records = [record for record, _ in readable]
    groups = duplicate_groups([result for _, result in readable])
    if groups and len(groups[0]) == len(readable):
        logger.warning("warning: all images are near duplicates of each other; each is split alone")
        groups = []
    grouped = {index for group in groups for index in group}
    groups += [[index] for index in range(len(readable)) if index not in grouped]
    by_name: dict[str, list[Record]] = {}
    for group in groups:
        records = [annotations.records[index] for index in group]
        # Images outside the folder may share a file name: those stay together.
        by_name.setdefault(min(_name(record, folder) for record in records), []).extend(records)
    return annotations, by_name


def _hash(record: Record) -> UInt8[ndarray, "32"] | Fault:
    try:
        return image_hash(reduced(record, HASH_SIZE).load())
    except DataError as error:
        return Fault("unreadable image", record.image_id, str(error))


def _name(record: Record, folder: Path) -> str:
    """The path relative to the folder, so that a copy of the folder is split in the same way."""
    path = Path(record.image_id)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def choose_val(
    groups: dict[str, list[Record]], seed: int, val_below: float | None = None
) -> tuple[list[Record], float]:
    """Choose the validation images, in whole groups.

    Each group has a number from 0 to 1, a hash of the seed and its name. Groups are taken in the
    order of these numbers, except groups larger than the validation set should be, and groups that
    contain all remaining boxes of a class. If none can be taken, the smallest group is.

    Args:
        groups: Groups of near duplicates, by a name that does not change when images are added.
        seed: Seed of the numbers.
        val_below: Take groups whose number is below this; None takes a fifth of the images.

    Returns:
        The records of the validation images, and ``val_below``, chosen if it was None.
    """
    numbers = {
        name: int(hashlib.sha256(f"{seed} {name}".encode()).hexdigest()[:8], 16) / 16**8
        for name in groups
    }
    total = sum(len(records) for records in groups.values())
    target = max(round(VAL_FRACTION * total), min(MIN_VAL, total // 3))
    left = count_unignored(record for records in groups.values() for record in records)
    val: list[Record] = []
    for name in sorted(groups, key=lambda name: numbers[name]):
        if len(val) >= target if val_below is None else numbers[name] >= val_below:
            val_below = numbers[name] if val_below is None else val_below
            break
        classes = count_unignored(groups[name])
        if len(groups[name]) <= target and all(left[key] > classes[key] for key in classes):
            val += groups[name]
            left -= classes
    smallest = min(groups.values(), key=len, default=[])
    return val or smallest, 1.0 if val_below is None else val_below
