"""Folders of labelled images as tools leave them: where splits, images and annotations may lie."""

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
"""What tools call a split."""
SPLITS = {name: split for split, names in SPLIT_NAMES.items() for name in names}
SPLITS |= {"training": "train", "testing": "test"}
SPLITS |= dict.fromkeys(("all", "default", "trainval"), "all")
"""The splits by the names in tools' exports; ``all`` is yet to be split."""
MAX_PROBED = 100
"""Maximum number of files of a kind that are opened to recognise a layout."""
PREFERRED = ("annotations", "labels", "jpegimages", "images")
"""Folders, in lower case, that are looked into before others."""


class Layout(NamedTuple):
    """What a folder holds.

    Attributes:
        format: A key of `vision.choices.DATA_FORMATS`.
        splits: The arguments of the format's reader for ``train``, ``val`` and ``test``, as far as
            there are any; or for ``all``.
        reason: What was recognised, for the user.
    """

    format: str
    splits: dict[str, Keys]
    reason: str


def make_layout(
    name: str, root: Path, what: str, found: Iterable[tuple[str, Keys]]
) -> Layout | None:
    """The layout with these splits, of which each must be there once; None without any."""
    splits: dict[str, Keys] = {}
    for split, keys in found:
        if split in splits:
            both = " and ".join(
                one.get("split") or one.get("annotations") or one["root"]
                for one in (splits[split], keys)
            )
            raise DataError(f"{root}: both {both} could be its {split}; remove or rename one")
        splits[split] = keys
    if "train" in splits:
        splits.pop("all", None)
    elif "val" in splits and "all" in splits:
        splits["train"] = splits.pop("all")
    splits = {split: splits[split] for split in ("train", "val", "test", "all") if split in splits}
    return Layout(name, splits, what) if splits else None


def sets_in(root: Path) -> Iterator[list[tuple[str, list[Path]]]]:
    """The ways in which a folder may hold sets: of each set the split, and the folders to look in.

    ``train/`` with all of a set in it; ``images/train/`` and ``labels/train/``; no splits at all.
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
    """What ``find`` gives of each split, in the first way of `sets_in` in which it gives any."""
    for sets in sets_in(root):
        found = [(split, keys) for split, folders in sets if (keys := find(folders)) is not None]
        if found:
            yield from found
            return


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, those first that tools name so."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name[0] not in "._" and entry.is_dir()]
    names.sort(key=lambda name: (name.lower() not in PREFERRED, name))
    return [folder / name for name in names]


def files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The files in a folder with one of the suffixes, by name; none where there is no folder."""
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
    """The files in a folder, and in its folders if its name is one of `PREFERRED`."""
    is_part = folder.name.lower() in PREFERRED and folder.is_dir()
    places = [folder, *(folders_in(folder) if is_part else ())]
    return [file for place in places for file in files_in(place, suffixes)]


def head_of(file: Path, size: int = 2**16) -> bytes:
    """The beginning of a file; of UTF-16, ASCII without the zeros.

    Raises:
        DataError: If it cannot be opened.
    """
    try:
        with open_regular(file) as opened:
            return opened.read(size).replace(b"\0", b"")
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error


def split_of(name: str) -> str:
    """The split that a name such as ``instances_val2017`` has a word for; empty if it has none."""
    splits = {SPLITS[word] for word in re.findall("[a-z]+", name.lower()) if word in SPLITS}
    return splits.pop() if len(splits) == 1 else "all" if splits else ""


def images_folder(folders: Sequence[Path], stems: Collection[str]) -> Path:
    """The first folder that has an image with one of the names, else any image, else the first."""
    filled = []
    for folder in folders:
        images = {file.stem for file in files_of(folder, IMAGE_SUFFIXES)}
        if not images.isdisjoint(stems):
            return folder
        filled += [folder] if images else []
    return [*filled, *folders][0]
