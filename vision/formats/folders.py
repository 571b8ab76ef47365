"""Folders of labelled images as tools export them: where splits, images and annotations lie."""

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from vision.errors import DataError
from vision.files import open_regular
from vision.images import IMAGE_SUFFIXES

Keys: TypeAlias = dict[str, str]
"""Arguments of a format's reader."""
SPLIT_NAMES = {"train": ("train",), "val": ("validation", "val", "valid"), "test": ("test",)}
"""The names that tools give to each split."""
SPLITS = {name: split for split, names in SPLIT_NAMES.items() for name in names}
SPLITS |= {"training": "train", "testing": "test"}
SPLITS |= dict.fromkeys(("all", "default", "trainval"), "all")
"""The split that each name in a tool's export means; ``all`` has not been split yet."""
MAX_PROBED = 100
"""Maximum number of files of each kind that are opened to recognise a layout."""
PREFERRED = ("annotations", "labels", "jpegimages", "images")
"""Names, in lower case, of folders that are searched before others."""


class Layout(NamedTuple):
    """The format and the splits of a data set.

    Attributes:
        format: A key of `vision.choices.DATA_FORMATS`.
        splits: The arguments of the format's reader for each split that exists: ``train``,
            ``val`` and ``test``, or ``all``.
        reason: What was recognised, for messages.
    """

    format: str
    splits: dict[str, Keys]
    reason: str


def make_layout(
    name: str, root: Path, what: str, found: Iterable[tuple[str, Keys]]
) -> Layout | None:
    """The layout with these splits, None without any; raise DataError if one occurs twice."""
    splits: dict[str, Keys] = {}
    for split, keys in found:
        if split in splits:
            both = " and ".join(
                one.get("split") or one.get("annotations") or one["root"]
                for one in (splits[split], keys)
            )
            raise DataError(f"{root}: both {both} could be the {split} split; remove or rename one")
        splits[split] = keys
    if "train" in splits:
        splits.pop("all", None)
    elif "val" in splits and "all" in splits:
        splits["train"] = splits.pop("all")
    splits = {split: splits[split] for split in ("train", "val", "test", "all") if split in splits}
    return Layout(name, splits, what) if splits else None


def sets_in(root: Path) -> Iterator[list[tuple[str, list[Path]]]]:
    """Yield each way in which a folder may hold splits: the splits, and the folders to search.

    First ``train/`` and so on; then ``images/train/`` and ``labels/train/``; then no splits at all.
    """
    folders = folders_in(root)
    yield [
        (SPLITS[folder.name.lower()], [folder, *folders_in(folder)])
        for folder in folders
        if folder.name.lower() in SPLITS
    ]
    inner = [inner for folder in folders for inner in folders_in(folder)]
    names = dict.fromkeys(folder.name for folder in inner if folder.name.lower() in SPLITS)
    yield [
        (SPLITS[name.lower()], [folder for folder in inner if folder.name == name])
        for name in names
    ]
    yield [("all", [root, *folders])]


def find_sets(root: Path, find: Callable[[list[Path]], Keys | None]) -> Iterator[tuple[str, Keys]]:
    """Yield each split with its keys from ``find``, in the first way of `sets_in` that has any."""
    for sets in sets_in(root):
        found = [(split, keys) for split, folders in sets if (keys := find(folders)) is not None]
        if found:
            yield from found
            return


def folders_in(folder: Path) -> list[Path]:
    """The visible folders in a folder, sorted by name, but those of `PREFERRED` first."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name[0] not in "._" and entry.is_dir()]
    names.sort(key=lambda name: (name.lower() not in PREFERRED, name))
    return [folder / name for name in names]


def files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The visible files in a folder with one of the suffixes, sorted; none if it is no folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = sorted(
            entry.name
            for entry in entries
            if entry.name.lower().endswith(tuple(suffixes))
            and not entry.name.startswith(".")
            and entry.is_file()
        )
    return [folder / name for name in names]


def files_of(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The files in a folder; if its name is one of `PREFERRED`, also those in its subfolders."""
    is_part = folder.name.lower() in PREFERRED and folder.is_dir()
    places = [folder, *(folders_in(folder) if is_part else ())]
    return [file for place in places for file in files_in(place, suffixes)]


def head_of(file: Path, size: int = 2**16) -> bytes:
    """The beginning of a file without its zero bytes, so that UTF-16 reads as ASCII.

    Raises:
        DataError: If the file cannot be opened.
    """
    try:
        with open_regular(file) as opened:
            return opened.read(size).replace(b"\0", b"")
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error


def split_of(name: str) -> str:
    """The split that a name such as ``instances_val2017`` tells: ``all`` if several, or empty."""
    splits = {SPLITS[word] for word in re.findall("[a-z]+", name.lower()) if word in SPLITS}
    return splits.pop() if len(splits) == 1 else "all" if splits else ""


def images_folder(folders: Sequence[Path], stems: Collection[str]) -> Path:
    """The first folder with an image of one of the stems, else with any image, else the first."""
    filled = []
    for folder in folders:
        images = {file.stem for file in files_of(folder, IMAGE_SUFFIXES)}
        if not images.isdisjoint(stems):
            return folder
        filled += [folder] if images else []
    return [*filled, *folders][0]
