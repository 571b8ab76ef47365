"""Files written for each image and frame besides its annotated picture: crops, label files."""

# h and w the height and width of an image

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from numpy import ndarray

import vision.boxes as box_ops
from vision.atomic import replacing
from vision.choices import FOLDERS
from vision.config.yaml12 import dump_yaml
from vision.detection.schema import Entry, Object
from vision.detections import Detections
from vision.errors import DataError
from vision.media import MediaInput, comparable, write_image

_LABELME_VERSION = "5.5.0"
"""The version of LabelMe in whose format files are written."""


def check_file_names(sources: Sequence[MediaInput]) -> None:
    """Check that no two images have crops or label files of the same name; videos have folders.

    Raises:
        DataError: If the paths of two images differ only in their suffix.
    """
    seen: dict[str, str] = {}
    for source in sources:
        if source.kind != "image":
            continue
        other = seen.setdefault(comparable(source.relative.with_suffix("")), source.name)
        if other != source.name:
            raise DataError(
                f"{other} and {source.name} would have the same files; rename one, or leave"
                f" {', '.join(FOLDERS)} out of --save"
            )


def label_places(source: MediaInput) -> list[Path]:
    """Paths of an image's label files, or a video's folders of them, below the output folder."""
    below = source.relative
    labels = Path("yolo/labels")
    if source.kind != "image":
        return [labels / below, "labelme" / below]
    return [labels / below.with_suffix(".txt"), "labelme" / below.with_suffix(".json")]


def write_data_yaml(out: Path, names: Sequence[str]) -> None:
    """Write ``yolo/data.yaml``, which names the classes.

    Raises:
        DataError: If it cannot be written.
    """
    content = {"train": "images", "val": "images", "names": dict(enumerate(names))}
    _write_text(out / "yolo" / "data.yaml", dump_yaml(content))


def write_image_files(
    folders: Sequence[str],
    out: Path,
    source: MediaInput,
    image: UInt8[ndarray, "h w 3"],
    detections: Detections,
    entry: Entry,
    names: Sequence[str],
) -> None:
    """Write the crops and label files of an image or frame.

    Args:
        folders: Kinds of files to write, from `vision.choices.FOLDERS`.
        out: The output folder.
        source: The image, or the video of the frame.
        image: Its pixels, RGB.
        detections: What was detected.
        entry: The same detections, from `vision.detection.results.make_entry`.
        names: Class names in label order.

    Raises:
        DataError: If a file cannot be written.
    """
    place, items = source.relative, entry["detections"]
    if "frame" in entry:
        place /= f"{entry['frame']:06}.jpg"
    if "crops" in folders:
        for number, (item, crop) in enumerate(zip(items, detections.crops(image), strict=True)):
            name = f"{place.with_suffix('')}_{number}.jpg"
            write_image(out / "crops" / _file_name(item["label"]) / name, crop)
    if "yolo" in folders:
        _copy_image(out / "yolo/images" / place, source, image)
        rows = [f"{names.index(item['label'])} {_fractions(item, image)}\n" for item in items]
        _write_text(out / "yolo/labels" / place.with_suffix(".txt"), "".join(rows))
    if "labelme" in folders:
        file = out / "labelme" / place.with_suffix(".json")
        if "frame" in entry or source.address is not None:
            write_image(file.with_suffix(".jpg"), image)
            shown = f"{file.stem}.jpg"
        else:
            shown = _relative(source.path, file.parent)
        _write_text(file, json.dumps(_labelme(shown, image, entry), indent=2) + "\n")


def _relative(path: Path, folder: Path) -> str:
    try:
        return os.path.relpath(path, folder)
    except ValueError:  # on another drive of Windows
        return str(path.absolute())


def _file_name(label: str) -> str:
    """Turn a class name into the name of a folder."""
    name = "".join(c if c.isalnum() or c in " -_." else "_" for c in label)
    return name if name.strip(" .") else "_"


def _copy_image(path: Path, source: MediaInput, image: UInt8[ndarray, "h w 3"]) -> None:
    """Copy an image file; encode a frame, a remote image or an image in another format."""
    is_file = source.kind == "image" and source.address is None
    if not is_file or source.path.suffix.lower() != path.suffix.lower():
        write_image(path, image)
        return
    try:
        with replacing(path, sync=False) as partial:
            shutil.copyfile(source.path, partial)
    except OSError as error:
        raise DataError(f"image {path} cannot be written: {error.strerror or error}") from error


def _write_text(path: Path, text: str) -> None:
    try:
        with replacing(path, sync=False) as partial:
            partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error


def _fractions(item: Object, image: UInt8[ndarray, "h w 3"]) -> str:
    """Format a box for YOLO: centre, width and height as fractions of the image's sides."""
    size = (image.shape[0], image.shape[1])
    box = torch.tensor(item["box"], dtype=torch.float64)
    values = box_ops.to_centre(box_ops.scale(box, size, (1, 1))).tolist()
    return " ".join(f"{value:.6g}" for value in values)


def _labelme(path: str, image: UInt8[ndarray, "h w 3"], entry: Entry) -> dict[str, Any]:
    return {
        "version": _LABELME_VERSION,
        "flags": {},
        "shapes": [
            {
                "label": item["label"],
                "points": [item["box"][:2], item["box"][2:]],
                "group_id": item.get("track"),
                "description": f"score {item['score']}",
                "shape_type": "rectangle",
                "flags": {},
                "mask": None,
            }
            for item in entry["detections"]
        ],
        "imagePath": path,
        "imageData": None,
        "imageHeight": image.shape[0],
        "imageWidth": image.shape[1],
    }
