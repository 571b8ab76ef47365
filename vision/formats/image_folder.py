"""Hugging Face's ``imagefolder``: images and a ``metadata.jsonl`` or ``.csv`` with their boxes."""

import ast
import csv
import io
import json
from pathlib import Path
from typing import Any

import vision.formats.json_table as tables
from vision.errors import DataError
from vision.files import expand_home, split_lines
from vision.formats.folders import SPLIT_NAMES
from vision.formats.json_values import whole
from vision.formats.paths import Files, full, nfc, read_text
from vision.formats.records import AnnotatedObject, Annotations
from vision.images import IMAGE_SUFFIXES, OTHER_IMAGE_SUFFIXES

METADATA = ("metadata.jsonl", "metadata.csv")
CATEGORY_KEYS = ("categories", "category", "labels", "label")


def read_image_folder(root: str, split: str | None = None) -> Annotations:
    """Read one split of ``root``, or ``root`` itself.

    A line of ``metadata.jsonl``, or a row of ``metadata.csv`` with the same columns, is
    ``{"file_name": ..., "objects": {"bbox": [[x, y, width, height], ...], "categories": [...]}}``,
    in pixels. Categories are names, or numbers, which are used as names, because the format does
    not store names for them. Images without a line are left out.

    Args:
        root: Folder that holds a folder for each split, or the metadata file.
        split: ``train``, ``val`` or ``test``; None reads the metadata file in ``root``.

    Raises:
        DataError: If a file or folder is missing or invalid.
    """
    folder = expand_home(root)
    names = [""] if split is None else [*SPLIT_NAMES.get(split, (split,))]
    files = [folder / name / metadata for name in names for metadata in METADATA]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        places = ", ".join(file.relative_to(folder).as_posix() for file in files)
        raise DataError(f"image folder {full(folder)} has none of {places}; add the metadata")
    images = Files(file.parent, IMAGE_SUFFIXES | OTHER_IMAGE_SUFFIXES)
    result = Annotations()
    seen = set()
    for where, row in _rows(file):
        with result.collecting("invalid annotation", file):
            path = images.locate(row["file_name"], where)
            seen.add(path)
            result.add_image(path, None, _objects(row, where))
    for path in images.by_name.values():
        if path not in seen:
            result.tally.note(f"images without a line in {file.name} left out", path)
    found = {name for record in result.records for name in record.names}
    result.names = sorted(
        found, key=lambda name: (len(name), name) if name.isdecimal() else (0, name)
    )
    return result


def _rows(file: Path) -> list[tuple[str, dict[str, Any]]]:
    """The lines of a metadata file, each with its file and line number for messages."""
    if file.suffix == ".csv":
        return _csv_rows(file)
    rows = []
    for number, line in enumerate(split_lines(read_text(file)), start=1):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: expected a JSON object, found invalid: {error}") from error
        rows += [(where, row) for row in tables.check_rows(where, [row], ("file_name",))]
        tables.texts(where, [row], "file_name")
    return rows


def _csv_rows(file: Path) -> list[tuple[str, dict[str, Any]]]:
    """The rows of a CSV file, whose ``objects`` are JSON or a Python literal."""
    rows: list[tuple[str, dict[str, Any]]] = []
    try:
        found = list(csv.DictReader(io.StringIO(read_text(file), newline=""), restkey=""))
    except csv.Error as error:
        raise DataError(f"{file} cannot be read as CSV: {error}") from error
    for number, row in enumerate(found, start=2):
        where, text = f"{file}:{number}", row.get("objects")
        try:
            objects = _parse(text) if text else None
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
            raise DataError(f"{where}: expected objects as JSON, found {text!r}") from error
        tables.texts(where, [row], "file_name")
        rows.append((where, {"file_name": row["file_name"], "objects": objects}))
    return rows


def _parse(text: str) -> Any:  # noqa: ANN401
    """The value of a cell, which is JSON or a Python literal."""
    try:
        return json.loads(text)
    except ValueError:
        return ast.literal_eval(text)


def _objects(row: dict[str, Any], where: str) -> list[AnnotatedObject]:
    objects = row.get("objects")
    if objects is None:
        return []
    key = next((key for key in CATEGORY_KEYS if isinstance(objects, dict) and key in objects), None)
    if key is None or not isinstance(objects.get("bbox"), list):
        raise DataError(f"{where}: expected objects with bbox and categories, found {objects}")
    if not isinstance(objects[key], list) or len(objects[key]) != len(objects["bbox"]):
        raise DataError(f"{where}: expected {key} and bbox to be lists of the same length")
    rows = [{"bbox": box} for box in objects["bbox"]]
    boxes = tables.xyxy_boxes(f"{where}: objects", rows, allow_degenerate=True).tolist()
    tables.ids(f"{where}: {key}", [{"name": name} for name in objects[key]], "name")
    words = [{"name": str(whole(name))} for name in objects[key]]
    names = map(nfc, tables.names(f"{where}: {key}", words, "name"))
    return [
        AnnotatedObject(name, (x0, y0, x1, y1))
        for name, (x0, y0, x1, y1) in zip(names, boxes, strict=True)
    ]
