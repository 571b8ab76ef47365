"""YOLO's format: one text file for each image, with lines of ``class x y width height``."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import torch

import vision.boxes as box_ops
from vision.config.yaml12 import dump_yaml, parse_yaml
from vision.errors import DataError
from vision.files import expand_home, split_lines
from vision.formats.paths import full, read_text
from vision.formats.records import AnnotatedObject, Annotations, Record, Tally
from vision.formats.written import copy_images, new_folder, objects_to_write
from vision.formats.yolo_files import (
    describe,
    label_folders,
    rows_without_image,
    split_images,
)
from vision.formats.yolo_names import class_names

_MAX_FRACTION = 2.0
"""Larger numbers must be pixels; up to this, a box that exceeds its image is clipped."""


class _Row(NamedTuple):
    """A row of a text file: its place for messages, the class number, and a box or polygon."""

    where: str
    label: int
    values: list[float]


def read_yolo(root: str, split: str | None = None) -> Annotations:
    """Read one split of ``root``, or all its images.

    A row has the class number, then the centre, width and height of a box, or the points of a
    polygon, which is replaced by its bounding box; all as fractions of the image's sides. An image
    without a text file is background.

    The images are those that ``data.yaml`` or ``obj.data`` names for the split; else those in
    ``SPLIT/images``, ``images/SPLIT`` or ``SPLIT``, or in the list ``SPLIT.txt``. Text files lie
    beside the images, or in ``labels`` if the images lie in ``images``. The class names are in
    ``data.yaml``, ``obj.names``, ``classes.txt`` or ``notes.json``.

    Args:
        root: The folder, or its ``data.yaml``.
        split: ``train``, ``val`` or ``test``; None for all images.

    Raises:
        DataError: If a file or folder is missing or invalid.
    """
    folder, description = describe(expand_home(root))
    result = Annotations()
    images = split_images(folder, description, split, result.tally)
    if not images:
        part = f" in its split {split}" if split else ""
        unread = "".join(f"; {kind}: {len(at)}" for kind, at in result.tally.places.items())
        hint = f"{unread}; convert them to JPEG or PNG" if unread else "; add the photographs"
        raise DataError(f"YOLO data {full(folder)} has no image{part}{hint}")
    names = class_names(folder, description)
    folders = {place: label_folders(place, folder) for place in {path.parent for path in images}}
    used: set[Path] = set()
    labels = Counter[int]()
    has_keypoints = "kpt_shape" in description  # Key points follow the box in a row.
    for image in images:
        files = (place / f"{image.stem}.txt" for place in folders[image.parent])
        label_file = next((file for file in files if file.is_file()), None)
        with result.collecting("invalid annotation", label_file or image):
            rows = [] if label_file is None else _rows(label_file)
            used |= set() if label_file is None else {label_file}
            labels.update(row.label for row in rows)
            if has_keypoints:
                rows = [row._replace(values=row.values[:4]) for row in rows]
            objects = [_object(row, names, result.tally) for row in rows]
            result.add_image(image, None, objects, relative=True)
    inner = dict.fromkeys(place for places in folders.values() for place in places)
    for file in rows_without_image(inner, used, folder, [*folders]):
        result.tally.note("text files without an image left out", file)
    if names is None:
        result.tally.note("data without names of classes, which are called by number", full(folder))
    elif not labels[0] and labels[len(names)] > 1 and max(labels) == len(names):
        raise DataError(
            f"YOLO data {full(folder)}: class numbers must begin at 0, but there are rows of class"
            f" {len(names)} and none of class 0; if they begin at 1, subtract 1 from the first"
            f" number of each row, else correct the rows of class {len(names)}, which has no name"
        )
    result.names = names or [str(number) for number in range(max(labels, default=-1) + 1)]
    return result


def _rows(file: Path) -> list[_Row]:
    """The rows of a text file that are not empty."""
    rows = []
    for number, line in enumerate(split_lines(read_text(file)), start=1):
        words, where = line.split(), f"{file}:{number}"
        if not words:
            continue
        try:
            label, *values = map(float, words)
        except ValueError as error:
            raise DataError(f"{where}: expected numbers, found {' '.join(words)}") from error
        if not label.is_integer() or label < 0:
            raise DataError(f"{where}: expected a class number (0, 1, ...), found {words[0]}")
        rows.append(_Row(where, int(label), values))
    return rows


def _object(row: _Row, names: list[str] | None, tally: Tally) -> AnnotatedObject:
    where, label, values = row
    if names is not None and label >= len(names):
        known = f"there are {len(names)} names, numbered from 0"
        raise DataError(f"{where}: class {label} has no name; {known}; add it, or correct the row")
    if any(abs(value) > _MAX_FRACTION for value in values):
        found = next(value for value in values if abs(value) > _MAX_FRACTION)
        raise DataError(f"{where}: expected fractions of the image's sides, not pixels: {found:g}")
    name = str(label) if names is None else names[label]
    if len(values) >= 6 and len(values) % 2 == 0:
        tally.note("polygons turned into their boxes", where)
        x, y = values[::2], values[1::2]
        return AnnotatedObject(name, (min(x), min(y), max(x), max(y)))
    if len(values) != 4:
        raise DataError(
            f"{where}: expected class, x, y, width, height, or a class and a polygon, found"
            f" {len(values) + 1} numbers; remove others, such as a score"
        )
    x0, y0, x1, y1 = box_ops.to_corners(torch.tensor(values, dtype=torch.float64)).tolist()
    return AnnotatedObject(name, (x0, y0, x1, y1))


def write_yolo(annotations: Annotations, root: Path, split: str) -> Tally:
    """Write a split: ``images/SPLIT/``, ``labels/SPLIT/`` and its line in ``data.yaml``.

    The format has no flags, so ignored boxes are left out.

    Args:
        annotations: The images and boxes; ``names`` are the classes of all splits.
        root: The folder to write, which may already hold other splits.
        split: Name of the split.

    Returns:
        Tally of what the format cannot hold.
    """
    tally = Tally()
    names = {name: label for label, name in enumerate(annotations.names)}
    images = new_folder(root / "images" / split)
    labels = new_folder(root / "labels" / split)
    for record, path in copy_images(annotations.records, images, tally, keep_orientation=False):
        kept = objects_to_write(record, tally, flags=(), areas=False)
        lines = (f"{names[item.name]} {_fractions(item, record)}\n" for item in kept)
        (labels / f"{path.stem}.txt").write_text("".join(lines), encoding="utf-8")
    file = root / "data.yaml"
    content = parse_yaml(read_text(file)) if file.is_file() else {}
    content = {key: value for key, value in content.items() if key != "names"}
    content[split] = f"images/{split}"
    content["names"] = dict(enumerate(annotations.names))
    file.write_text(dump_yaml(content), encoding="utf-8")
    return tally


def _fractions(item: AnnotatedObject, record: Record) -> str:
    boxes = torch.tensor(item.box, dtype=torch.float64)
    boxes_cxcywh = box_ops.to_centre(box_ops.scale(boxes, record.size, (1, 1)))
    return " ".join(f"{value:.10g}" for value in boxes_cxcywh.tolist())
