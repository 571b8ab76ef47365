"""Recognising the layout of a folder of labelled images by its files, for ``--data``."""

import re
from collections import Counter
from pathlib import Path

from vision.errors import DataError
from vision.files import expand_home, similar_file
from vision.formats.finders import (
    coco_keys,
    find_coco,
    find_image_folder,
    find_open_images,
    find_yolo,
    is_instances,
    yolo_layout,
)
from vision.formats.folders import SPLITS, Layout, files_in, folders_in, head_of
from vision.formats.paths import full
from vision.formats.unknown import advice
from vision.formats.voc_files import find_voc
from vision.formats.webdataset_files import BRACES, COMPRESSED, find_webdataset, has_samples
from vision.images import IMAGE_SUFFIXES

_PARTS = {"images", "labels", "jpegimages", "annotations", "train", "val", "valid", "test"}
"""Names, in lower case, of folders that hold only one part of a data set."""


def find_layout(root: str | Path) -> Layout:
    """Find the layout of a folder of images and annotations, of a YOLO or COCO file, or of tars.

    Raises:
        DataError: If there is no such folder, or no layout or more than one is recognised.
    """
    path = expand_home(root)
    try:
        if path.is_file():
            return _of_file(path)
        if BRACES.search(path.name):
            return Layout("webdataset", {"all": {"root": str(path)}}, f"WebDataset's {path}")
        return _find(path)
    except OSError as error:
        place = full(error.filename or path)
        raise DataError(f"data {place} cannot be read: {error.strerror}") from error


def _find(path: Path, named: Path | None = None) -> Layout:
    """Find the layout of a folder, or of the only one in it; ``named`` is what the user named."""
    if not path.is_dir():
        hint = "; pass the folder that holds your images and their annotations"
        raise DataError(f"data {full(path)} does not exist{similar_file(path) or hint}")
    found, folders = _layouts(path), folders_in(path)
    if found and _is_part(path) and not _has_images(path) and (around := _around(path)):
        raise DataError(f"{full(path)} has annotations but no images; did you mean {around}?")
    if len(found) == 1:
        _check_alone(path, found[0])
        return found[0]
    if found:
        split, keys = next(iter(found[0].splits.items()))
        values = {"format": found[0].format, **keys}
        example = ", ".join(f"{key}: {value}" for key, value in values.items())
        raise DataError(
            f"{path} could be read as {' or as '.join(layout.reason for layout in found)}; remove"
            f" one, or say which: 'data.{split.replace('all', 'train')}={{{example}}}'"
        )
    if len(folders) == 1 and (_holds_data(folders[0]) or not files_in(path, IMAGE_SUFFIXES)):
        return _find(folders[0], path if named is None or not _is_part(path) else named)
    inner = [folder for folder in folders if _holds_data(folder)]
    if len(inner) == 1:
        raise DataError(f"{full(path)} holds a data set and other folders; pass {inner[0]}")
    if inner:
        names = ", ".join(folder.name for folder in inner)
        raise DataError(f"{path} holds several data sets; pass one of them: {names}")
    raise _unknown(named if named and _is_part(path) else path)


def _check_alone(path: Path, layout: Layout) -> None:
    """Raise DataError if other folders of ``path`` hold data that the layout leaves out.

    This is checked if all files of the layout are in one folder that is not named like a part or
    a split; and for YOLO's layout without splits, which would take the photographs of other
    formats for background.
    """
    used = {place.relative_to(path).parts[:1] for place in _places(layout)}
    name = "".join(*used) if len(used) == 1 else ""
    takes_all = layout.format == "yolo" and "all" in layout.splits
    is_of_folder = (path / name).is_dir() and name.lower() not in {"", *_PARTS, *SPLITS}
    if not (is_of_folder or takes_all):
        return
    others = [
        folder.name
        for folder in folders_in(path)
        if folder.name != name
        and not folder.is_symlink()
        and _holds_data(folder, besides="yolo" if takes_all else "")
    ]
    if others:
        raise DataError(
            f"{path} holds several data sets, {name or layout.reason} and {', '.join(others)}; pass"
            " the folder of one of them, or move the others away"
        )


def _places(layout: Layout) -> list[Path]:
    """The files and folders in the arguments of a layout's reader."""
    keys = [pair for keys in layout.splits.values() for pair in keys.items()]
    return [Path(text) for key, text in keys if key != "split"]


def _holds_data(folder: Path, besides: str = "") -> bool:
    """Whether a folder, or the only folder in it, holds images with annotations.

    Annotations in the format ``besides`` do not count.
    """
    try:
        if any(layout.format != besides for layout in _layouts(folder)):
            return _has_images(folder)
    except DataError:  # There are annotations, but their layout is ambiguous.
        return _has_images(folder)
    inner = folders_in(folder)
    return len(inner) == 1 and not inner[0].is_symlink() and _holds_data(inner[0], besides)


def _unknown(path: Path) -> DataError:
    """The error for a folder in which no data set is recognised."""
    if around := _around(path):
        hint = f"; did you mean {around}?"
    elif files_in(path, COMPRESSED):
        hint = "; decompress the tars of a WebDataset, for example with gunzip"
    else:
        hint = advice(path)
    return DataError(
        f"{full(path)} has no annotations in a known layout (VOC, COCO, YOLO, Open Images,"
        f" Hugging Face's imagefolder or WebDataset); found {_contents(path)}{hint}"
    )


def _around(path: Path) -> Path | None:
    """The folder of the data set that ``path`` is a part of, such as its labels; None if none."""
    if not _is_part(path):
        return None
    return next((folder for folder in [*path.parents][:2] if _has_part(folder, path)), None)


def _has_part(folder: Path, part: Path) -> bool:
    """Whether ``part`` is a part of the data set in ``folder``."""
    try:
        places = [place for layout in _layouts(folder) for place in _places(layout)]
    except DataError:
        return False
    return any(place in {folder, part, *part.parents} or part in place.parents for place in places)


def _is_part(folder: Path) -> bool:
    """Whether the name of a folder is that of a part of a data set."""
    return folder.absolute().name.lower() in _PARTS


def _has_images(folder: Path) -> bool:
    """Whether an image, or a tar of images, lies anywhere below a folder."""
    return any(file.suffix.lower() in IMAGE_SUFFIXES | {".tar"} for file in folder.rglob("*"))


def _layouts(root: Path) -> list[Layout]:
    finders = find_voc, find_coco, find_yolo, find_open_images, find_image_folder, find_webdataset
    return [layout for find in finders if (layout := find(root)) is not None]


def _of_file(path: Path) -> Layout:
    suffix = path.suffix.lower()
    if suffix in {".yaml", ".yml"}:
        if not re.search(rb"^names\s*:", head_of(path), re.MULTILINE):
            raise DataError(
                f"data {path} is not YOLO's data.yaml, since it has no names; pass a configuration"
                " with --config"
            )
        return yolo_layout(path)
    if suffix == ".json" and is_instances(path):
        return Layout("coco", {"all": coco_keys(path, path.parent, "all")}, f"COCO's {path}")
    if suffix == ".tar" and has_samples(path):
        return Layout("webdataset", {"all": {"root": str(path)}}, f"WebDataset's {path}")
    if suffix in {".zip", ".gz", ".tar", ".rar", ".7z"}:
        raise DataError(f"data {path} is an archive; unpack it, and pass the folder")
    raise DataError(
        f"data {path} is not a folder, YOLO's data.yaml or a COCO instances file; pass the folder"
        " that holds your images and their annotations"
    )


def _contents(folder: Path) -> str:
    """A short description of what a folder holds, for messages."""
    counts = Counter(
        path.suffix.lower() or path.name for path in folder.iterdir() if path.is_file()
    )
    parts = [f"{count} {suffix}" for suffix, count in counts.most_common(4)]
    parts += [f"{inner.name}/" for inner in folders_in(folder)[:6]]
    return ", ".join(parts) or "nothing"
