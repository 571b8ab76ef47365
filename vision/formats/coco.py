"""COCO's format: one JSON file for each split."""

# n annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from pycocotools import mask as mask_api

import vision.boxes as box_ops
import vision.formats.json_table as tables
from vision.errors import DataError
from vision.formats.json_file import load_json
from vision.formats.json_values import resolve_id, whole
from vision.formats.paths import Files, find_below, full, nfc
from vision.formats.records import AnnotatedObject, Annotations, Tally
from vision.formats.written import copy_images, new_folder, objects_to_write
from vision.images import IMAGE_SUFFIXES, OTHER_IMAGE_SUFFIXES

FORM = "an object with images, annotations and categories (COCO instances)"
BOX_KEYS = ("image_id", "category_id", "bbox")
Ids = dict[int | str, int]
"""Index of each image or category, by its id in the file."""


class Instances(NamedTuple):
    """A checked instances file. Images and categories are in the order of their ids.

    Attributes:
        images: Rows with an ``id``.
        sizes: (height, width) of each image, 0 where the file does not state it.
        categories: Rows with an ``id`` and a ``name``.
        annotations: Rows with `BOX_KEYS`.
        labels: Index in ``categories`` of each annotation.
        boxes: ``xywh``.
        ignore: Whether ``iscrowd``, ``ignore`` or ``difficult`` is set, the last two of which
            converters from VOC write.
        crowd: Whether ``iscrowd`` is set.
        areas: NaN where the file does not state it.
    """

    images: list[dict[str, Any]]
    sizes: list[tuple[int, int]]
    categories: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    labels: Int64[np.ndarray, "n"]
    boxes: Float64[np.ndarray, "n 4"]
    ignore: Bool[np.ndarray, "n"]
    crowd: Bool[np.ndarray, "n"]
    areas: Float64[np.ndarray, "n"]


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
    content = load_instances(file, for_training=True)
    if not content.images:
        raise DataError(f"{file} names no image")
    result = Annotations()
    result.names = _class_names(content, file, result.tally)
    objects = _objects_by_image(content, file, result.tally)
    files = Files(folder, IMAGE_SUFFIXES | OTHER_IMAGE_SUFFIXES)
    names_by_path: dict[Path, str] = {}
    for image, size in zip(content.images, content.sizes, strict=True):
        name, annotated_size = image["file_name"], size if min(size) > 0 else None
        path = files.find(name) or folder / name
        if path in names_by_path:
            result.tally.note("images listed again under another id", path)
        earlier = names_by_path.setdefault(path, name)
        with result.collecting("ambiguous image", path):
            if earlier != name:
                raise DataError(f"{file}: {earlier} and {name} are both found as {path}")
            result.add_image(path, annotated_size, objects[image["id"]])
    return result


def load_instances(file: Path, *, for_training: bool = False) -> Instances:
    """Read and check an instances file.

    Args:
        file: ``{"images": [...], "annotations": [...], "categories": [...]}``.
        for_training: Require the images' ``file_name``, and accept texts as ids of categories,
            boxes that are not finite or have negative sides, and masks without a box.

    Raises:
        DataError: If the file cannot be read or does not have that form.
    """
    content = load_json(file, dict, FORM)
    tables.check_rows(str(file), [content], ("images", "annotations", "categories"))
    where = f"{file}: images"
    images = _rows_with_ids(where, content["images"], ("id",))
    tables.check_unique(where, images, "id", int, str, shown="file_name")
    if for_training:
        tables.texts(where, images, "file_name")
    sides = [tables.numbers(where, images, key, default=0.0) for key in ("height", "width")]
    sizes = zip(*(map(int, side.tolist()) for side in sides), strict=True)
    size_by_id = {row["id"]: size for row, size in zip(images, sizes, strict=True)}
    images = sorted(images, key=_id_order)
    where = f"{file}: categories"
    categories = _rows_with_ids(where, content["categories"], ("id", "name"))
    id_types = (int, str) if for_training else (int,)
    tables.check_unique(where, categories, "id", *id_types, shown="name")
    tables.names(where, categories, "name")
    categories = sorted(categories, key=_id_order)
    where = f"{file}: annotations"
    needed = BOX_KEYS[:2] if for_training else BOX_KEYS
    rows = tables.check_rows(where, content["annotations"], needed)
    if for_training:
        rows = [row if row.get("bbox") else row | {"bbox": _mask_box(row)} for row in rows]
    crowd = tables.flags(where, rows, "iscrowd")
    ignore = crowd | tables.flags(where, rows, "ignore") | tables.flags(where, rows, "difficult")
    return Instances(
        images,
        [size_by_id[row["id"]] for row in images],
        categories,
        rows,
        tables.lookup(where, rows, "category_id", index_by_id(categories)),
        tables.xywh_boxes(where, rows, allow_degenerate=for_training),
        ignore,
        crowd,
        tables.numbers(where, rows, "area", default=math.nan),
    )


def index_by_id(rows: list[dict[str, Any]]) -> Ids:
    """The index of each row by its id."""
    return {row["id"]: index for index, row in enumerate(rows)}


def _rows_with_ids(where: str, rows: object, keys: Sequence[str]) -> list[dict[str, Any]]:
    """The checked rows; an ``id`` may have been written with decimals."""
    return [row | {"id": whole(row["id"])} for row in tables.check_rows(where, rows, keys)]


def _id_order(row: dict[str, Any]) -> tuple[bool, int | str]:
    """By id, as COCO's code sorts images, since their order decides between equal scores."""
    return isinstance(row["id"], str), row["id"]


def _mask_box(row: dict[str, Any]) -> list[float] | None:
    """The ``xywh`` box of an annotation's polygons or RLE mask, None if it has none."""
    mask: Any = row.get("segmentation")
    try:
        if isinstance(mask, dict):
            is_list = isinstance(mask["counts"], list)
            rle = mask_api.frPyObjects(mask, *mask["size"]) if is_list else mask
            box: list[float] = mask_api.toBbox(rle).tolist()
            return box
        polygons: list[Any] = mask if isinstance(mask[0], list) else [mask]
        points = np.concatenate([np.array(polygon, np.float64) for polygon in polygons])
        points = points.reshape(-1, 2)
        corners = torch.from_numpy(np.concatenate([points.min(axis=0), points.max(axis=0)]))
    except (TypeError, ValueError, KeyError, IndexError, OverflowError):
        return row.get("bbox")
    return box_ops.xyxy_to_xywh(corners).tolist()


def _below(root: str | None, name: str) -> Path:
    """The file or folder ``name`` below ``root``, else relative to the working directory."""
    path = find_below(root, name)
    if path is not None:
        return path
    if root is None:
        raise DataError(f"COCO data: {full(name)} does not exist")
    raise DataError(
        f"COCO root {full(root)} has no {name}; pass the folder that holds it, or name it with"
        " annotations= (the JSON file) and images= (the folder of images)"
    )


def _class_names(content: Instances, file: Path, tally: Tally) -> list[str]:
    """Category names without unused supercategories."""
    used = set(content.labels.tolist())
    names = []
    for label, category in enumerate(content.categories):
        name = nfc(category["name"])
        others = content.categories[:label] + content.categories[label + 1 :]
        if label not in used and name in {nfc(str(other.get("supercategory"))) for other in others}:
            tally.note("parent categories without a box left out", f"{name} in {file}")
        else:
            names.append(name)
    if len(set(names)) < len(names):
        raise DataError(f"{file}: two categories share a name")
    return names


def _objects_by_image(
    content: Instances, file: Path, tally: Tally
) -> dict[int | str, list[AnnotatedObject]]:
    """The objects of each image by its id; annotations of images not listed are counted."""
    objects: dict[int | str, list[AnnotatedObject]] = {row["id"]: [] for row in content.images}
    image_ids = tables.ids(f"{file}: annotations", content.annotations, "image_id")
    columns = zip(
        (resolve_id(image_id, objects) for image_id in image_ids),
        content.labels.tolist(),
        box_ops.xywh_to_xyxy(torch.from_numpy(content.boxes)).tolist(),
        content.ignore.tolist(),
        content.crowd.tolist(),
        content.areas.tolist(),
        strict=True,
    )
    for image_id, label, (x0, y0, x1, y1), ignore, crowd, area in columns:
        if image_id not in objects:
            tally.note("annotations of images that are not listed dropped", file)
            continue
        stated_area = None if math.isnan(area) else area
        name = content.categories[label]["name"]
        objects[image_id].append(
            AnnotatedObject(name, (x0, y0, x1, y1), ignore, crowd, stated_area)
        )
    return objects


def write_coco(annotations: Annotations, root: Path, split: str) -> Tally:
    """Write a split: ``annotations/instances_SPLIT.json`` and ``SPLIT/``.

    Args:
        annotations: The images and boxes; ``names`` become the categories.
        root: The folder, in which other splits may be.
        split: Name of the split.

    Returns:
        What the format cannot hold: nothing but names of images.
    """
    tally = Tally()
    ids = {name: number for number, name in enumerate(annotations.names, start=1)}
    images: list[dict[str, object]] = []
    rows: list[dict[str, object]] = []
    for record, path in copy_images(annotations.records, new_folder(root / split), tally):
        height, width = record.size
        image_id = len(images) + 1
        images.append({"id": image_id, "file_name": path.name, "height": height, "width": width})
        for item in objects_to_write(record, tally, flags={"ignore", "crowd"}, areas=True):
            box = box_ops.xyxy_to_xywh(torch.tensor(item.box, dtype=torch.float64))
            row = {
                "id": len(rows) + 1,
                "image_id": image_id,
                "category_id": ids[item.name],
                "bbox": box.tolist(),
                "area": item.area,
                "iscrowd": int(item.crowd),
            }
            rows.append(row | {"ignore": 1} if item.ignore and not item.crowd else row)
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    file = root / "annotations" / f"instances_{split}.json"
    file.parent.mkdir(exist_ok=True)
    content = {"images": images, "annotations": rows, "categories": categories}
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return tally
