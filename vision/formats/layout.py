"""The layout of a folder of labelled images, recognised by its files: what ``--data`` finds."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple, TypeAlias

from vision.errors import DataError
from vision.formats.paths import Files
from vision.formats.yolo import yolo_splits
from vision.images import IMAGE_SUFFIXES

Keys: TypeAlias = dict[str, str]
"""Arguments of a format's reader."""
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "all": "all",
    "default": "all",
    "trainval": "all",
}
"""Names of splits in tools' exports, and what they mean; ``all`` is yet to be split."""
PREFERRED = ("annotations", "labels", "jpegimages", "images")
"""Folders, in lower case, that are looked into before others."""
MAX_PROBED = 100
"""Files of a kind that are looked into."""
_FILE_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')
_YOLO_ROW = re.compile(rb"\s*\d+(?:\.0*)?(?:[ \t]+-?[\d.]+(?:[eE]-?\d+)?){4,}\s*(?:\n|$)")
_ANNOTATION = re.compile(rb"<(?:\w+:)?annotation[\s>]")


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


def find_layout(root: str | Path) -> Layout:
    """The layout of a folder of images and annotations, or of YOLO's or COCO's file that lists it.

    Raises:
        DataError: If there is no such folder, or no layout or more than one is recognised.
    """
    path = Path(root).expanduser()
    try:
        return _find(path)
    except OSError as error:
        raise DataError(f"data {path.absolute()} cannot be read: {error.strerror}") from error


def _find(path: Path) -> Layout:
    if path.is_file():
        return _of_file(path)
    if not path.is_dir():
        raise DataError(
            f"data {path.absolute()} does not exist; pass the folder that holds your images and"
            " their annotations"
        )
    found, folders = _layouts(path), _folders(path)
    if len(found) == 1:
        return found[0]
    if found:
        split, keys = next(iter(found[0].splits.items()))
        values = {"format": found[0].format, **keys}
        example = ", ".join(f"{key}: {value}" for key, value in values.items())
        raise DataError(
            f"{path} could be read as {' or as '.join(layout.reason for layout in found)}; remove"
            f" one, or give it in full: 'data.{split.replace('all', 'train')}={{{example}}}'"
        )
    if len(folders) == 1:
        return _find(folders[0])
    inner = [folder.name for folder in folders if _layouts(folder)]
    if inner:
        raise DataError(f"{path} holds several data sets; pass one of them: {', '.join(inner)}")
    raise DataError(
        f"{path.absolute()} has no annotations of a known layout (VOC, COCO, YOLO, Open Images or"
        f" Hugging Face's imagefolder); found {_contents(path)}"
    )


def _layouts(root: Path) -> list[Layout]:
    finders = (_find_voc, _find_coco, _find_yolo, _find_open_images, _find_image_folder)
    return [layout for find in finders if (layout := find(root)) is not None]


def _of_file(path: Path) -> Layout:
    suffix = path.suffix.lower()
    if suffix in {".yaml", ".yml"}:
        if not re.search(rb"^names\s*:", _head(path), re.MULTILINE):
            raise DataError(
                f"data {path} is not YOLO's data.yaml, which has names; a configuration is passed"
                " with --config"
            )
        return _yolo(path)
    if suffix == ".json" and _is_instances(path):
        return Layout("coco", {"all": _coco_keys(path, path.parent, "all")}, f"COCO's {path}")
    if suffix in {".zip", ".gz", ".tar", ".rar", ".7z"}:
        raise DataError(f"data {path} is an archive; unpack it, and pass the folder")
    raise DataError(
        f"data {path} is not a folder, YOLO's data.yaml or COCO's instances; pass the folder that"
        " holds your images and their annotations"
    )


def _layout(name: str, root: Path, what: str, found: Iterable[tuple[str, Keys]]) -> Layout | None:
    """The layout with these splits, of which each must be there once; None without any."""
    splits: dict[str, Keys] = {}
    for split, keys in found:
        if split in splits:
            both = " and ".join(
                str(one.get("split", one.get("annotations"))) for one in (splits[split], keys)
            )
            raise DataError(f"{root}: both {both} could be its {split}; remove or rename one")
        splits[split] = keys
    if "train" in splits:
        splits.pop("all", None)
    elif "val" in splits and "all" in splits:
        splits["train"] = splits.pop("all")
    splits = {split: splits[split] for split in ("train", "val", "test", "all") if split in splits}
    return Layout(name, splits, what) if splits else None


def _sets(root: Path) -> Iterator[list[tuple[str, list[Path]]]]:
    """The ways in which a folder may hold sets: of each set the split, and the folders to look in.

    ``train/`` with all of a set in it; ``images/train/`` and ``labels/train/``; no splits at all.
    """
    folders = _folders(root)
    yield [
        (SPLITS[folder.name.lower()], [folder, *_folders(folder)])
        for folder in folders
        if folder.name.lower() in SPLITS
    ]
    inner = [inner for folder in folders for inner in _folders(folder)]
    names = dict.fromkeys(folder.name for folder in inner if folder.name.lower() in SPLITS)
    yield [
        (SPLITS[name.lower()], [folder for folder in inner if folder.name == name])
        for name in names
    ]
    yield [("all", [root, *folders])]


def _find_sets(root: Path, find: Callable[[list[Path]], Keys | None]) -> Iterator[tuple[str, Keys]]:
    for sets in _sets(root):
        found = [(split, keys) for split, folders in sets if (keys := find(folders)) is not None]
        if found:
            yield from found
            return


# VOC


def _find_voc(root: Path) -> Layout | None:
    lists = _files(root / "ImageSets" / "Main", {".txt"})
    names = [file.stem for file in lists if file.stem.lower() in SPLITS]
    if "trainval" in names and "train" not in names:
        names = [name for name in names if SPLITS[name.lower()] != "val"]  # a part of trainval
    is_canonical = (root / "Annotations").is_dir() and (root / "JPEGImages").is_dir()
    keys = {} if is_canonical else _voc_keys([*_folders(root), root]) if names else None
    if not names or keys is None:
        return _layout("voc", root, f"VOC's XML files in {root}", _find_sets(root, _voc_keys))
    found = [(SPLITS[name.lower()], {"root": str(root), "split": name, **keys}) for name in names]
    return _layout("voc", root, f"VOC's XML files and ImageSets/Main in {root}", found)


def _voc_keys(folders: Sequence[Path]) -> Keys | None:
    """The reader's arguments, if one of the folders has VOC's XML files."""
    for folder in folders:
        files = _files(folder, {".xml"})
        if any(_ANNOTATION.search(_head(file)) for file in files[:MAX_PROBED]):
            images = _images_folder([folder, *folders], {file.stem for file in files})
            return {"annotations": str(folder), "images": str(images)}
    return None


# COCO


def _find_coco(root: Path) -> Layout | None:
    folders = [root, *(folder for folder in _folders(root) if folder.name.lower() == "annotations")]
    files = [file for folder in folders for file in _coco_files(folder)]
    splits = [_split_of(file.stem) for file in files]
    if len(files) == 1 or any(splits):
        found = [
            (split or "all", _coco_keys(file, root, split))
            for file, split in zip(files, splits, strict=True)
            if split or len(files) == 1
        ]
        return _layout("coco", root, f"COCO's JSON in {files[0].parent}", found)
    if files:
        names = ", ".join(str(file) for file in files)
        raise DataError(f"{root} has several COCO files; pass one of them: {names}")

    def find(folders: list[Path]) -> Keys | None:
        inner = [file for folder in folders for file in _coco_files(folder)]
        return _coco_keys(inner[0], folders[0], "") if inner else None

    return _layout("coco", root, f"COCO's JSON in {root}", _find_sets(root, find))


def _coco_files(folder: Path) -> list[Path]:
    """The instances files in a folder; those called so, if any are."""
    files = [file for file in _files(folder, {".json"}) if _is_instances(file)]
    return [file for file in files if file.stem.startswith("instances")] or files


def _is_instances(file: Path) -> bool:
    if not file.stat().st_size:
        return False
    with file.open("rb") as opened, mmap(opened.fileno(), 0, access=ACCESS_READ) as content:
        is_utf16 = b"\0" in content[:4]
        texts = [f'"{key}"' for key in ("images", "annotations", "categories")]
        return all(
            content.find(text.encode("utf-16-le" if is_utf16 else "utf-8")) >= 0 for text in texts
        )


def _coco_keys(file: Path, root: Path, split: str) -> Keys:
    """The reader's arguments; the images' folder is one in which an image that is named lies."""
    names = []
    for match in islice(_FILE_NAME.finditer(_head(file, 2**24)), MAX_PROBED):
        with suppress(ValueError):  # not JSON; the reader says what is wrong
            names.append(json.loads(match.group(1)))
    outer = _folders(root)
    below = [*outer, *(inner for folder in outer for inner in _folders(folder))]
    below.sort(key=lambda folder: _split_of(folder.name) != split)
    folders = [file.parent, *below, root]
    images = [Files(folder, IMAGE_SUFFIXES) for folder in folders]
    for name in names:
        for place in images:
            if place.find(name) is not None:
                return {"annotations": str(file), "images": str(place.folder)}
    return {"annotations": str(file), "images": str(_images_folder(folders, set()))}


# YOLO


def _find_yolo(root: Path) -> Layout | None:
    folders = {folder: None for sets in _sets(root) for _, inner in sets for folder in inner}
    texts = (file for folder in folders for file in _files(folder, {".txt"})[:MAX_PROBED])
    is_described = any(
        re.search(rb"^names\s*[:=]", _head(file), re.MULTILINE)
        for file in _files(root, {".yaml", ".yml", ".data"})
    )
    has_labels = is_described or any(_YOLO_ROW.match(_head(file)) for file in texts)
    return _yolo(root) if has_labels else None


def _yolo(root: Path) -> Layout:
    keys = {"root": str(root)}
    splits = {split: {**keys, "split": split} for split in yolo_splits(root)}
    return Layout("yolo", splits or {"all": keys}, f"YOLO's text files in {root}")


# Open Images


def _find_open_images(root: Path) -> Layout | None:
    folders = [root, *_folders(root)]
    below = [*folders, *(inner for folder in folders[1:] for inner in _folders(folder))]
    found = []
    for file in (file for folder in below for file in _files(folder, {".csv"})):
        header, *rows = _head(file).decode("utf-8-sig", "replace").splitlines() or [""]
        if not {"ImageID", "LabelName", "XMin"} <= set(header.split(",")):
            continue
        split = _split_of(file.stem) or _split_of(file.parent.parent.name) or "all"
        places = sorted(below, key=lambda folder: _split_of(folder.name) != split)
        column = header.split(",").index("ImageID")
        stems = {row.split(",")[column] for row in rows[:-1] if row.count(",") >= column}
        keys = {"annotations": str(file), "images": str(_images_folder(places, stems))}
        found.append((split, {"root": str(root), **keys}))
    return _layout("open_images", root, f"Open Images' CSV files in {root}", found)


# Hugging Face's imagefolder


def _find_image_folder(root: Path) -> Layout | None:
    def find(folders: list[Path]) -> Keys | None:
        files = [folder / "metadata.jsonl" for folder in folders]
        found = [file.parent for file in files if file.is_file() and b'"objects"' in _head(file)]
        return {"root": str(found[0])} if found else None

    return _layout("image_folder", root, f"metadata.jsonl in {root}", _find_sets(root, find))


# Files


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, those first that tools name so."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name[0] not in "._" and entry.is_dir()]
    names.sort(key=lambda name: (name.lower() not in PREFERRED, name))
    return [folder / name for name in names]


def _files(folder: Path, suffixes: Collection[str]) -> list[Path]:
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


def _head(file: Path, size: int = 2**16) -> bytes:
    """The beginning of a file; of UTF-16, ASCII without the zeros."""
    with file.open("rb") as opened:
        return opened.read(size).replace(b"\0", b"")


def _split_of(name: str) -> str:
    """The split that a name such as ``instances_val2017`` has a word for; empty if it has none."""
    splits = {SPLITS[word] for word in re.findall("[a-z]+", name.lower()) if word in SPLITS}
    return splits.pop() if len(splits) == 1 else "all" if splits else ""


def _images_folder(folders: Sequence[Path], stems: Collection[str]) -> Path:
    """The first folder that has an image with one of the names, else any image, else the first."""
    filled = []
    for folder in folders:
        images = {file.stem for file in _files(folder, IMAGE_SUFFIXES)}
        if not images.isdisjoint(stems):
            return folder
        filled += [folder] if images else []
    return [*filled, *folders][0]


def _contents(folder: Path) -> str:
    """What a folder holds, in words."""
    counts = Counter(
        path.suffix.lower() or path.name for path in folder.iterdir() if path.is_file()
    )
    parts = [f"{count} {suffix}" for suffix, count in counts.most_common(4)]
    parts += [f"{inner.name}/" for inner in _folders(folder)[:6]]
    return ", ".join(parts) or "nothing"
