"""WebDataset's format: tars of images, each of which has a JSON file with its boxes."""

import io
import json
import math
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import vision.formats.json_table as tables
from vision.errors import DataError
from vision.formats.coco import annotation_rows
from vision.formats.json_file import describe, load_json
from vision.formats.json_values import is_quadruple, whole
from vision.formats.paths import nfc
from vision.formats.records import AnnotatedObject, Annotations, Tally
from vision.formats.webdataset_files import find_samples, find_tars
from vision.formats.written import copy_images

TAR_BYTES = 10**9
"""Size in bytes at which `write_webdataset` begins another tar."""
NAME_KEYS = ("category_name", "category", "category_id")
_FORM = "annotations (COCO's, with bbox and category_name), or boxes and labels"


def read_webdataset(root: str, split: str | None = None) -> Annotations:
    """Read all tars of ``root``, or the tars of one split.

    ``KEY.jpg`` (or another image) and ``KEY.json`` form a sample, wherever they lie in the tar. The
    JSON is a list of annotations in COCO's form, or an object with this list as ``annotations``:
    ``{"bbox": [x, y, width, height], "category_name": "cat", "iscrowd": 0, "area": 30}``. The name
    may also be in ``category``; without a name, the number in ``category_id`` serves as the name.
    Or the JSON is an object with ``boxes``, ``[[x0, y0, x1, y1], ...]``, and their names as
    ``labels``. It may state the image's ``height`` and ``width``. All values are in pixels.

    Nothing is unpacked: images are read directly from the tars.

    Args:
        root: The folder of the tars, one tar, or ``NAME-{000000..000012}.tar``.
        split: ``train``, ``val``, ``test`` or ``all``, see
            `vision.formats.webdataset_files.tar_split`; None for all tars.

    Raises:
        DataError: If there is no such tar, or the tars have no image with a JSON file.
    """
    tars = find_tars(root, split)
    result = Annotations()
    ids: dict[str, int] = {}  # category ids by name, as far as the data state them
    for tar in tars:
        with result.collecting("unreadable tar", tar):
            for image, text in find_samples(tar, result.tally):
                with result.collecting("invalid annotation", text):
                    content = load_json(text, object, "JSON")
                    objects = _objects(content, str(text), ids)
                    result.add_image(image, _size(content, str(text)), objects)
    if not result.records and not result.faults:
        raise DataError(f"WebDataset {root} has no image KEY.jpg with its JSON file KEY.json")
    found = {name for record in result.records for name in record.names}
    result.names = sorted(found, key=lambda name: (ids.get(name, math.inf), len(name), name))
    return result


def _size(content: object, where: str) -> tuple[int, int] | None:
    """(height, width) that a sample's JSON states, None if it states no size."""
    rows = [content] if isinstance(content, dict) else [{}]
    height, width = (
        int(tables.numbers(where, rows, key, default=0.0)[0]) for key in ("height", "width")
    )
    return (height, width) if min(height, width) > 0 else None


def _objects(content: object, where: str, ids: dict[str, int]) -> list[AnnotatedObject]:
    """The objects of a sample's JSON; the ids of their categories are added to ``ids``."""
    if isinstance(content, dict) and "boxes" in content:
        return _from_boxes(content, where)
    rows = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise DataError(f"{where}: expected {_FORM}, found {describe(content)}")
    where = f"{where}: annotations"
    tables.check_rows(where, rows, ("bbox",))
    names = _names(where, [_name(row) for row in rows])
    for name, row in zip(names, rows, strict=True):
        if isinstance(row.get("category_id"), int):
            ids.setdefault(name, row["category_id"])
    crowd = tables.flags(where, rows, "iscrowd")
    ignore = crowd | tables.flags(where, rows, "ignore") | tables.flags(where, rows, "difficult")
    columns = zip(
        names,
        tables.xyxy_boxes(where, rows, allow_degenerate=True).tolist(),
        ignore.tolist(),
        crowd.tolist(),
        tables.numbers(where, rows, "area", default=math.nan).tolist(),
        strict=True,
    )
    return [
        AnnotatedObject(
            name, (x0, y0, x1, y1), is_ignored, is_crowd, None if math.isnan(area) else area
        )
        for name, (x0, y0, x1, y1), is_ignored, is_crowd, area in columns
    ]


def _from_boxes(content: Mapping[str, Any], where: str) -> list[AnnotatedObject]:
    """The objects of ``boxes`` and ``labels``."""
    boxes, labels = content["boxes"], content.get("labels")
    if not isinstance(boxes, list) or not isinstance(labels, list) or len(boxes) != len(labels):
        raise DataError(f"{where}: expected boxes and labels to be lists of the same length")
    wrong = next((box for box in boxes if not is_quadruple(box)), None)
    if wrong is not None:
        raise DataError(f"{where}: expected each box to be [x0, y0, x1, y1], found {wrong!r:.100}")
    return [
        AnnotatedObject(name, (float(x0), float(y0), float(x1), float(y1)))
        for name, (x0, y0, x1, y1) in zip(_names(where, labels), boxes, strict=True)
    ]


def _name(row: Mapping[str, Any]) -> object:
    return next((row[key] for key in NAME_KEYS if row.get(key) is not None), None)


def _names(where: str, values: Sequence[object]) -> list[str]:
    """Class names, from strings or numbers."""
    tables.ids(where, [{"name": value} for value in values], "name")
    words = [{"name": str(whole(value))} for value in values]
    return [nfc(name) for name in tables.names(where, words, "name")]


def write_webdataset(annotations: Annotations, root: Path, split: str) -> Tally:
    """Write a split: ``SPLIT-000000.tar`` and so on, of about a gigabyte each.

    Args:
        annotations: The images and boxes; the positions in ``names``, from 1, become category ids.
        root: The folder to write, which may already hold other splits.
        split: Name of the split.

    Returns:
        Tally of what the format cannot hold: classes without a box, and names of renamed images.
    """
    tally = Tally()
    ids = {name: number for number, name in enumerate(annotations.names, start=1)}
    counts = annotations.count()
    for name in annotations.names:
        if not counts[name]:
            tally.note("classes without a box left out", name)
    root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(dir=root)))
        tar = stack.enter_context(tarfile.open(root / f"{split}-000000.tar", "x"))
        number = 0
        for record, path in copy_images(annotations.records, folder, tally, dots=False):
            if tar.offset > TAR_BYTES:
                number += 1
                tar = stack.enter_context(tarfile.open(root / f"{split}-{number:06d}.tar", "x"))
            rows = list(annotation_rows(record, ids, tally))
            named = [
                {**row, "category_name": name} for row, name in zip(rows, record.names, strict=True)
            ]
            height, width = record.size
            content = {"height": height, "width": width, "annotations": named}
            _add(tar, path.name, path.read_bytes())
            _add(tar, f"{path.stem}.json", json.dumps(content, ensure_ascii=False).encode())
            path.unlink()
    return tally


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
