"""VOC's files: how a folder of its XML files is recognised, and where they and the images lie."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from vision.errors import DataError
from vision.formats.folders import (
    MAX_PROBED,
    PREFERRED,
    SPLITS,
    Keys,
    Layout,
    files_in,
    files_of,
    find_sets,
    folders_in,
    head_of,
    images_folder,
    make_layout,
)
from vision.formats.paths import Files

_ANNOTATION = re.compile(rb"<(?:\w+:)?annotation[\s>]")


def find_voc(root: Path) -> Layout | None:
    """VOC's layout, with ``ImageSets/Main`` or with XML files in any folder; None without them.

    Raises:
        DataError: If a split's XML files are in several folders that others are between.
    """
    lists = files_in(root / "ImageSets" / "Main", {".txt"})
    names = [file.stem for file in lists if file.stem.lower() in SPLITS]
    if "trainval" in names and "train" not in names:
        names = [name for name in names if SPLITS[name.lower()] != "val"]  # a part of trainval
    is_canonical = (root / "Annotations").is_dir() and (root / "JPEGImages").is_dir()
    keys = {} if is_canonical else _keys([*folders_in(root), root]) if names else None
    if not names or keys is None:
        return make_layout("voc", root, f"VOC's XML files in {root}", find_sets(root, _keys))
    found = [(SPLITS[name.lower()], {"root": str(root), "split": name, **keys}) for name in names]
    return make_layout("voc", root, f"VOC's XML files and ImageSets/Main in {root}", found)


def _keys(folders: Sequence[Path]) -> Keys | None:
    """The reader's arguments, if any of the folders has VOC's XML files.

    The reader also looks into the folders of the one that it is given. So where several have XML
    files, it is given the one around these, unless one is called as tools call it.
    """
    found = [folder for folder in folders if _has_annotation(files_of(folder, {".xml"}))]
    if not found:
        return None
    called_so = [folder for folder in found if folder.name.lower() in PREFERRED]
    around = {folder for folder in folders for other in folders if folder in other.parents}
    others = [folder for folder in folders if folder not in {*found, *around}]
    found += [folder for folder in others if _has_annotation(_xml_files(folder))]
    place = called_so[0] if called_so else Path(os.path.commonpath(found))
    if place not in folders:
        names = ", ".join(map(str, found))
        raise DataError(f"VOC's XML files of one split lie in {names}; move them into one folder")
    images = images_folder([*found, *folders], {file.stem for file in _xml_files(place)})
    return {"annotations": str(place), "images": str(place if images in found else images)}


def _xml_files(folder: Path) -> list[Path]:
    """The XML files in a folder and in all folders in it."""
    return list(Files(folder, {".xml"}).by_name.values())


def _has_annotation(files: Sequence[Path]) -> bool:
    return any(_ANNOTATION.search(head_of(file)) for file in files[:MAX_PROBED])
