"""Recognising a folder of VOC's XML files, and finding the folders of these and of the images."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from vision.errors import DataError
from vision.formats.folders import (
    MAX_PROBED,
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
from vision.images import IMAGE_SUFFIXES

_ANNOTATION = re.compile(rb"<(?:\w+:)?annotation[\s>]")


def find_voc(root: Path) -> Layout | None:
    """VOC's layout, with ``ImageSets/Main`` or with XML files in any folder; None without either.

    Raises:
        DataError: If the photographs of a split lie in several folders, and their parent folder
            holds other splits too.
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

    They name the first such folder, which is read with its subfolders; or, if XML files lie beside
    their photographs in several folders, the folder around these.
    """
    found = [folder for folder in folders if _has_annotation(files_of(folder, {".xml"}))]
    if not found:
        return None
    around = {parent for folder in folders for parent in folder.parents}
    complete = [folder for folder in folders if _has_pairs(folder, deep=folder not in around)]
    if found[0] in complete and complete[1:]:
        common = Path(os.path.commonpath(complete))
        if common not in folders:
            names = ", ".join(map(str, complete))
            raise DataError(f"one split has photographs in {names}; move them into one folder")
        return {"annotations": str(common), "images": str(common)}
    stems = {file.stem for file in files_of(found[0], {".xml"})}
    images = images_folder([found[0], *folders], stems)
    return {"annotations": str(found[0]), "images": str(images)}


def _has_annotation(files: Sequence[Path]) -> bool:
    return any(_ANNOTATION.search(head_of(file)) for file in files[:MAX_PROBED])


def _has_pairs(folder: Path, *, deep: bool) -> bool:
    """Whether a folder (``deep``: or one inside it) has VOC's XML files beside their images."""
    xml_files, images = (
        list(Files(folder, suffixes).by_name.values()) if deep else files_in(folder, suffixes)
        for suffixes in ({".xml"}, IMAGE_SUFFIXES)
    )
    names = {image.with_suffix("") for image in images}
    return _has_annotation([file for file in xml_files if file.with_suffix("") in names])
