"""Recognising the layout of each format by the files in a folder."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path

from vision.errors import DataError
from vision.files import open_regular
from vision.formats.folders import (
    MAX_PROBED,
    SPLITS,
    Keys,
    Layout,
    files_in,
    find_sets,
    folders_in,
    head_of,
    images_folder,
    make_layout,
    sets_in,
    split_of,
)
from vision.formats.image_folder import METADATA
from vision.formats.paths import Files, full
from vision.formats.yolo_files import describe, has_rows, yolo_splits
from vision.formats.yolo_names import class_names
from vision.images import IMAGE_SUFFIXES

_FILE_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')


def find_coco(root: Path) -> Layout | None:
    """COCO's layout, with one JSON file for each split or one for all; None without such a file.

    Raises:
        DataError: If several files could be the same split.
    """
    folders = [
        root,
        *(folder for folder in folders_in(root) if folder.name.lower() == "annotations"),
    ]
    files = [file for folder in folders for file in _coco_files(folder)]
    splits = [split_of(file.stem) for file in files]
    if len(files) == 1 or any(splits):
        found = [
            (split or "all", coco_keys(file, root, split))
            for file, split in zip(files, splits, strict=True)
            if split or len(files) == 1
        ]
        unread = [file.name for file, split in zip(files, splits, strict=True) if not split]
        note = f" (not read: {', '.join(unread)})" if len(found) < len(files) else ""
        return make_layout("coco", root, f"COCO's JSON in {files[0].parent}{note}", found)

    def find(folders: list[Path]) -> Keys | None:
        inner = [file for folder in folders[1:] for file in _coco_files(folder)]
        file = _only(folders[0], _coco_files(folders[0]) or inner)
        return None if file is None else coco_keys(file, folders[0], "")

    _only(root, files)
    return make_layout("coco", root, f"COCO's JSON in {root}", find_sets(root, find))


def _only(folder: Path, files: Sequence[Path]) -> Path | None:
    """The only COCO file, None if there is none; raise DataError if there are several."""
    if len(files) > 1:
        names = ", ".join(map(str, files))
        raise DataError(
            f"{folder} has several COCO files; pass one of them, or keep only one there: {names}"
        )
    return files[0] if files else None


def _coco_files(folder: Path) -> list[Path]:
    """The instances files in a folder; only those named ``instances*``, if there are any."""
    files = [file for file in files_in(folder, {".json"}) if is_instances(file)]
    return [file for file in files if file.stem.startswith("instances")] or files


def is_instances(file: Path) -> bool:
    """Whether a JSON file contains the keys of a COCO instances file.

    Raises:
        DataError: If the file cannot be opened.
    """
    texts = [f'"{key}"' for key in ("images", "annotations", "categories")]
    try:
        with open_regular(file) as opened, mmap(opened.fileno(), 0, access=ACCESS_READ) as content:
            encoding = "utf-16-le" if b"\0" in content[:4] else "utf-8"
            return all(content.find(text.encode(encoding)) >= 0 for text in texts)
    except ValueError:
        return False  # An empty file cannot be mapped.
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error


def coco_keys(file: Path, root: Path, split: str) -> Keys:
    """The reader's arguments; the folder of images is one that holds an image of the file."""
    names = []
    for match in islice(_FILE_NAME.finditer(head_of(file, 2**24)), MAX_PROBED):
        with suppress(ValueError):  # invalid JSON, which the reader will report
            names.append(json.loads(match.group(1)))
    outer = folders_in(root)
    below = [*outer, *(inner for folder in outer for inner in folders_in(folder))]
    below.sort(key=lambda folder: split_of(folder.name) != split)
    folders = [file.parent, *below, root]
    images = [Files(folder, IMAGE_SUFFIXES) for folder in folders]
    for name in names:
        for place in images:
            if place.find(name) is not None:
                return {"annotations": str(file), "images": str(place.folder)}
    return {"annotations": str(file), "images": str(images_folder(folders, set()))}


def find_yolo(root: Path) -> Layout | None:
    """YOLO's layout, recognised by ``data.yaml`` or by rows in text files; None without either.

    Raises:
        DataError: If the folder is a split whose class names are in the folder around it.
    """
    folders = {folder: None for sets in sets_in(root) for _, inner in sets for folder in inner}
    texts = (file for folder in folders for file in files_in(folder, {".txt"})[:MAX_PROBED])
    is_described = any(
        re.search(rb"^names\s*[:=]", head_of(file), re.MULTILINE)
        for file in files_in(root, {".yaml", ".yml", ".data"})
    )
    if not (is_described or any(map(has_rows, texts))):
        return None
    if not is_described and full(root).name.lower() in SPLITS:
        _check_names(full(root))
    return yolo_layout(root)


def _check_names(split: Path) -> None:
    """Raise DataError if a split has no class names, but the data set around it has."""
    around = split.parent
    try:
        has_names = describe(around)[1].get("names") and yolo_splits(around)
    except DataError:
        return
    if has_names and class_names(split, {}) is None:
        raise DataError(
            f"{split} is one split of {around}, which has the names of the classes; pass {around}"
        )


def yolo_layout(root: Path) -> Layout:
    """The layout of a folder in YOLO's format, or of its ``data.yaml``."""
    keys = {"root": str(root)}
    splits = {split: {**keys, "split": split} for split in yolo_splits(root)}
    return Layout("yolo", splits or {"all": keys}, f"YOLO's text files in {root}")


def find_open_images(root: Path) -> Layout | None:
    """Open Images' layout, recognised by the columns of CSV files; None without such a file."""
    folders = [root, *folders_in(root)]
    below = [*folders, *(inner for folder in folders[1:] for inner in folders_in(folder))]
    found = []
    for file in (file for folder in below for file in files_in(folder, {".csv"})):
        header, *rows = head_of(file).decode("utf-8-sig", "replace").splitlines() or [""]
        if not {"ImageID", "LabelName", "XMin"} <= set(header.split(",")):
            continue
        split = split_of(file.stem) or split_of(file.parent.parent.name) or "all"
        places = sorted(below, key=lambda folder: split_of(folder.name) != split)
        column = header.split(",").index("ImageID")
        stems = {row.split(",")[column] for row in rows[:-1] if row.count(",") >= column}
        keys = {"annotations": str(file), "images": str(images_folder(places, stems))}
        found.append((split, {"root": str(root), **keys}))
    return make_layout("open_images", root, f"Open Images' CSV files in {root}", found)


def find_image_folder(root: Path) -> Layout | None:
    """Hugging Face's imagefolder, recognised by ``objects`` in its metadata; None without them.

    Raises:
        DataError: If the metadata are in a Parquet file.
    """

    def find(folders: list[Path]) -> Keys | None:
        for file in (folder / "metadata.parquet" for folder in folders):
            if file.is_file():
                raise DataError(f"{file} cannot be read; convert it to metadata.jsonl, with pandas")
        files = [folder / name for folder in folders for name in METADATA]
        found = [file.parent for file in files if file.is_file() and b"objects" in head_of(file)]
        return {"root": str(found[0])} if found else None

    return make_layout(
        "image_folder", root, f"Hugging Face's metadata in {root}", find_sets(root, find)
    )
