"""COCO's format: one JSON file for each split."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

import vision.boxes as box_ops
import vision.formats.json_table as tables
from vision.errors import DataError
from vision.formats.coco_instances import Instances, load_instances
from vision.formats.json_values import resolve_id
from vision.formats.paths import Files, find_below, full, nfc
from vision.formats.records import AnnotatedObject, Annotations, Record, Tally
from vision.formats.written import copy_images, new_folder, objects_to_write
from vision.images import IMAGE_SUFFIXES, OTHER_IMAGE_SUFFIXES


def read_coco(
    root: str | None = None,
    split: str | None = None,
    annotations: str | None = None,
    images: str | None = None,
) -> Annotations:
    """Read one split of ``root``, or the file ``annotations`` and its folder of ``images``.

    Class names are the file's categories in the order of their ids, which need not be consecutive.
    Supercategories that some tools list as categories are left out if no annotation uses them.
    Images without objects are kept; crowds are kept as ignored.

    Args:
        root: Folder that holds ``annotations/`` and the split's images.
        split: ``train`` reads ``annotations/instances_train.json`` and ``train/``.
        annotations: The JSON file to read instead of the split's; below ``root``, or a path.
        images: The folder of images to use instead of the split's; below ``root``, or a path.

    Raises:
        DataError: If a file or folder is missing or invalid.
    """
    if None in (root, split) and not (annotations and images):
        raise DataError("COCO data: give root and split, or annotations and images")
    file = _below(root, annotations or f"annotations/instances_{split}.json")
    folder = _below(root, images or str(split))
    content = load_instances(file, for_training=True)
    if not content.images:
        raise DataError(f"{file} lists no images; check that it is the right file")
    result = Annotations()
    result.names = _class_names(content, file, result.tally)
    objects = _objects_by_image(content, file, result.tally)
    files = Files(folder, IMAGE_SUFFIXES | OTHER_IMAGE_SUFFIXES)
    names_by_path: dict[Path, str] = {}
    for image, size in zip(content.images, content.sizes, strict=True):
        name, annotated_size = image["file_name"], size if min(size) > 0 else None
        with result.collecting("missing image", file):
            path = files.locate(name, file)
            if path in names_by_path:
                result.tally.note("images listed again under another id", path)
            earlier = names_by_path.setdefault(path, name)
            with result.collecting("ambiguous image", path):
                if earlier != name:
                    raise DataError(
                        f"{file}: {earlier} and {name} both match the image {path}; correct one"
                    )
                result.add_image(path, annotated_size, objects[image["id"]])
    return result


def _below(root: str | None, name: str) -> Path:
    """The file or folder ``name`` below ``root``, else relative to the working directory."""
    path = find_below(root, name)
    if path is not None:
        return path
    if root is None:
        raise DataError(f"COCO data: {full(name)} does not exist")
    raise DataError(
        f"COCO root {full(root)} has no {name}; pass the folder that contains it, or give"
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
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{file}: two categories are named {twice[0]}; rename one of them")
    return names


def _objects_by_image(
    content: Instances, file: Path, tally: Tally
) -> dict[int | str, list[AnnotatedObject]]:
    """Objects by image id; annotations of images that are not listed are dropped and counted."""
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
        root: The folder to write, which may already hold other splits.
        split: Name of the split.

    Returns:
        Tally of what the format cannot hold: only the names of images that were renamed.
    """
    tally = Tally()
    ids = {name: number for number, name in enumerate(annotations.names, start=1)}
    images: list[dict[str, object]] = []
    rows: list[dict[str, object]] = []
    for record, path in copy_images(annotations.records, new_folder(root / split), tally):
        height, width = record.size
        image_id = len(images) + 1
        images.append({"id": image_id, "file_name": path.name, "height": height, "width": width})
        for row in annotation_rows(record, ids, tally):
            rows.append({"id": len(rows) + 1, "image_id": image_id, **row})
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    file = root / "annotations" / f"instances_{split}.json"
    file.parent.mkdir(exist_ok=True)
    content = {"images": images, "annotations": rows, "categories": categories}
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return tally


def annotation_rows(
    record: Record, ids: Mapping[str, int], tally: Tally
) -> Iterator[dict[str, object]]:
    """Yield the objects of an image as COCO annotations without ``id`` and ``image_id``.

    Args:
        record: The image and its objects.
        ids: The id of each category by its name.
        tally: Counts what the format cannot hold.
    """
    for item in objects_to_write(record, tally, flags={"ignore", "crowd"}, areas=True):
        row = {
            "category_id": ids[item.name],
            "bbox": box_ops.xyxy_to_xywh(torch.tensor(item.box, dtype=torch.float64)).tolist(),
            "area": item.area,
            "iscrowd": int(item.crowd),
        }
        yield row | {"ignore": 1} if item.ignore and not item.crowd else row
