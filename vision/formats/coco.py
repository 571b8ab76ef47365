"""COCO's format: one JSON file for each split."""

import contextlib
import io
import json
import math
from pathlib import Path
from typing import Any

import torch
from pycocotools.coco import COCO

import vision.boxes as box_ops
from vision.errors import DataError
from vision.formats.records import AnnotatedObject, Annotations, Tally, make_record

__all__ = ["read_coco"]


def read_coco(
    root: str | None = None,
    split: str | None = None,
    annotations: str | None = None,
    images: str | None = None,
) -> Annotations:
    """Read one split: of ``root``, or the one that ``annotations`` and ``images`` name.

    Class names are the file's categories in the order of their ids, which need not be consecutive.
    Supercategories that some tools list as categories are left out if no annotation uses them.
    Images without objects are kept; crowds are kept as ignored.

    Args:
        root: Folder that holds ``annotations/`` and the split's images.
        split: ``train`` stands for ``annotations/instances_train.json`` and ``train/``.
        annotations: The JSON file, if it is not the split's; below ``root``, or a path.
        images: The folder of the images, if it is not the split's; below ``root``, or a path.

    Raises:
        DataError: If a file or folder is missing or invalid.
    """
    if None in (root, split) and not (annotations and images):
        raise DataError("COCO data: give root and split, or annotations and images")
    file = _below(root, annotations or f"annotations/instances_{split}.json")
    folder = _below(root, images or str(split))
    index = _open(file)
    result = Annotations()
    result.names = _category_names(index, file, result.tally)
    _note_strays(index, file, result.tally)
    for image_id in sorted(index.imgs):
        image = index.imgs[image_id]
        objects = _objects(index.imgToAnns[image_id], index, file)
        path = folder / _text(image, "file_name", file)
        result.records.append(make_record(path, _size(image), objects, result.tally))
    if not result.records:
        raise DataError(f"{file} names no image")
    return result


def _below(root: str | None, name: str) -> Path:
    """The file or folder ``name`` below ``root``, else relative to the working directory."""
    for path in (Path(root or "", name), Path(name)):
        if path.exists():
            return path
    if root is None:
        raise DataError(f"COCO data: {name} does not exist")
    raise DataError(
        f"COCO root {root} has no {name}; pass the folder that holds it, or name it with"
        " annotations= (the JSON file) and images= (the folder of images)"
    )


def _open(file: Path) -> COCO:
    """The file indexed by pycocotools, without its console output."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as JSON: {error}") from error
    lists = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in lists):
        raise DataError(f"{file} is not a COCO instances file: it needs the lists {lists}")
    index = COCO()
    index.dataset = content
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            index.createIndex()
        sorted(index.imgs), sorted(index.cats)
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{file} is not a COCO instances file: an id is missing or of a wrong type ({error})"
        ) from error
    return index


def _category_names(index: COCO, file: Path, tally: Tally) -> list[str]:
    """Category names in the order of their ids, without unused supercategories."""
    if not all(isinstance(c.get("name"), str) and c["name"] for c in index.cats.values()):
        raise DataError(f"{file}: a category has no name")
    used = {item["category_id"] for item in index.anns.values()}
    names = []
    for key in sorted(index.cats):
        name = index.cats[key]["name"]
        others = (other for other_key, other in index.cats.items() if other_key != key)
        if key not in used and any(other.get("supercategory") == name for other in others):
            tally.note("parent categories without a box left out", f"{name} in {file}")
        else:
            names.append(name)
    if len(set(names)) < len(names):
        raise DataError(f"{file}: two categories share a name")
    return names


def _note_strays(index: COCO, file: Path, tally: Tally) -> None:
    """Count annotations of images that the file does not list."""
    strays = sum(len(items) for key, items in index.imgToAnns.items() if key not in index.imgs)
    if strays:
        tally.note("annotations of images that are not listed dropped", file, strays)


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    """(height, width) that the file states, None if it does not."""
    sides = (image.get("height", 0), image.get("width", 0))
    if not all(isinstance(side, int | float) and 0 < side < math.inf for side in sides):
        return None
    height, width = map(int, sides)
    return height, width


def _text(item: dict[str, Any], key: str, file: Path) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        raise DataError(f"{file}: image {item.get('id')} has no {key}")
    return value


def _objects(items: list[dict[str, Any]], index: COCO, file: Path) -> list[AnnotatedObject]:
    """The objects of one image."""
    rows = torch.tensor([_bbox(item, file) for item in items], dtype=torch.float64)
    boxes = box_ops.xywh_to_xyxy(rows.reshape(-1, 4)).tolist()
    return [_object(item, box, index, file) for item, box in zip(items, boxes, strict=True)]


def _bbox(item: dict[str, Any], file: Path) -> list[float]:
    try:
        x, y, width, height = (float(value) for value in item["bbox"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{file}: annotation {item.get('id')} needs a bbox of four numbers x, y, width, height"
        ) from error
    return [x, y, width, height]


def _object(item: dict[str, Any], box: list[float], index: COCO, file: Path) -> AnnotatedObject:
    category = index.cats.get(item.get("category_id"))
    if category is None:
        raise DataError(
            f"{file}: annotation {item.get('id')} has the category_id {item.get('category_id')},"
            " which is not in its categories"
        )
    try:
        area = None if item.get("area") is None else float(item["area"])
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{file}: annotation {item.get('id')} needs a number as its area, or no area"
        ) from error
    x0, y0, x1, y1 = box
    crowd = bool(item.get("iscrowd", 0))
    ignore = crowd or bool(item.get("ignore", 0))
    return AnnotatedObject(category["name"], (x0, y0, x1, y1), ignore, crowd, area)
