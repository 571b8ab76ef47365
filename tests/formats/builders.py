"""Tiny data sets on disk, in the layouts of VOC and COCO."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from vision.formats import AnnotatedObject, Annotations, Record, Tally, make_record

__all__ = [
    "TURNED",
    "picture",
    "record",
    "stripes",
    "voc_object",
    "voc_xml",
    "write_coco",
    "write_image",
    "write_split",
    "write_voc",
]

TURNED = 6
"""The EXIF orientation of a camera held upright: shown a quarter turn clockwise."""
EXIF_ORIENTATION = 0x0112


def picture(height: int, width: int, seed: int = 0) -> UInt8[ndarray, "h w 3"]:
    """Random colours."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def stripes(height: int, width: int) -> UInt8[ndarray, "h w 3"]:
    """Red as high as the row, green as high as the column: each pixel tells where it was."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(height)[:, None]
    image[..., 1] = np.arange(width)
    return image


def write_image(
    path: Path, height: int = 40, width: int = 60, *, orientation: int | None = None
) -> Path:
    """An image file of the suffix's format, ``height`` by ``width`` as stored."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation is not None:
        exif[EXIF_ORIENTATION] = orientation
    Image.fromarray(picture(height, width)).save(path, exif=exif)
    return path


def voc_object(
    name: str | None, box: Sequence[float | str], difficult: str | None = None, extra: str = ""
) -> str:
    """An ``<object>``; None leaves a tag out."""
    tags = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    corners = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags)
    named = "" if name is None else f"<name>{name}</name>"
    flagged = "" if difficult is None else f"<difficult>{difficult}</difficult>"
    return f"<object>{named}{flagged}<bndbox>{corners}</bndbox>{extra}</object>"


def voc_xml(
    *objects: str, size: tuple[object, object] | None = (40, 60), filename: str | None = None
) -> str:
    """A VOC annotation; ``size`` is (height, width)."""
    named = "" if filename is None else f"<filename>{filename}</filename>"
    sized = (
        "" if size is None else f"<size><height>{size[0]}</height><width>{size[1]}</width></size>"
    )
    return f"<annotation>{named}{sized}{''.join(objects)}</annotation>"


def write_split(root: Path, text: str | bytes, split: str = "train") -> Path:
    """A list of names, as it stands."""
    path = root / "ImageSets" / "Main" / f"{split}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def write_voc(
    root: Path,
    files: Mapping[str, str],
    *,
    suffix: str = ".jpg",
    annotations: str = "Annotations",
    images: str = "JPEGImages",
) -> Path:
    """A VOC folder: XML by stem, an image of 40 by 60 for each, all in the split ``train``."""
    (root / annotations).mkdir(parents=True)
    (root / images).mkdir(parents=True)
    for stem, xml in files.items():
        (root / annotations / f"{stem}.xml").write_text(xml, encoding="utf-8")
        write_image(root / images / f"{stem}{suffix}")
    write_split(root, "".join(f"{stem}\n" for stem in files))
    return root


def write_coco(
    root: Path,
    content: Mapping[str, Any] | str,
    *,
    split: str = "train",
    annotations: str | None = None,
    images: str | None = None,
) -> Path:
    """A COCO folder: one JSON file, and an image of 40 by 60 for each one that it lists."""
    file = root / (annotations or f"annotations/instances_{split}.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    folder = root / (images or split)
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        file.write_text(content, encoding="utf-8")
        return root
    file.write_text(json.dumps(content), encoding="utf-8")
    for image in content.get("images", []):
        if isinstance(image, dict) and isinstance(image.get("file_name"), str):
            write_image(folder / image["file_name"])
    return root


def record(
    path: Path,
    *objects: AnnotatedObject,
    annotated_size: tuple[int, int] | None = None,
    into: Annotations | None = None,
) -> Record:
    """A record of an image file; with ``into``, also appended there."""
    tally = Tally() if into is None else into.tally
    made = make_record(path, annotated_size, objects, tally)
    if into is not None:
        into.records.append(made)
        into.names = list(dict.fromkeys([*into.names, *made.names]))
    return made
