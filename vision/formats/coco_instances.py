"""COCO instances files: reading and checking the JSON file of a split."""

# n annotations

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
from vision.formats.json_file import load_json
from vision.formats.json_values import whole

FORM = "an object with images, annotations and categories (COCO instances)"
BOX_KEYS = ("image_id", "category_id", "bbox")
Ids = dict[int | str, int]
"""Index of each image or category by its id in the file."""


class Instances(NamedTuple):
    """A checked instances file. Images and categories are in the order of their ids.

    Attributes:
        images: Rows with an ``id``.
        sizes: (height, width) of each image, 0 where the file does not state it.
        categories: Rows with an ``id`` and a ``name``.
        annotations: Rows with `BOX_KEYS`.
        labels: Index in ``categories`` of each annotation.
        boxes: ``xywh`` of each annotation, in pixels.
        ignore: Whether ``iscrowd``, ``ignore`` or ``difficult`` is set; converters from VOC write
            the last two.
        crowd: Whether ``iscrowd`` is set.
        areas: Area of each annotation, NaN where the file does not state it.
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


def load_instances(file: Path, *, for_training: bool = False) -> Instances:
    """Read and check an instances file.

    Args:
        file: ``{"images": [...], "annotations": [...], "categories": [...]}``.
        for_training: Require ``file_name`` of each image, and accept strings as category ids,
            boxes that are not finite or have negative sides, and masks without a box.

    Raises:
        DataError: If the file cannot be read or does not have that structure.
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
    """The checked rows; an ``id`` written with decimals, such as 1.0, becomes an integer."""
    return [row | {"id": whole(row["id"])} for row in tables.check_rows(where, rows, keys)]


def _id_order(row: dict[str, Any]) -> tuple[bool, int | str]:
    """Sort key: the id, as in pycocotools, because image order decides between equal scores."""
    return isinstance(row["id"], str), row["id"]


def _mask_box(row: dict[str, Any]) -> list[float] | None:
    """The ``xywh`` box of an annotation's polygons or RLE mask; without these, its ``bbox``."""
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
