"""Result files of many inputs: JSON, COCO results and CSV, written entry by entry."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch

import vision.boxes as box_ops
from vision.atomic import replacing
from vision.detection.coco_ids import CocoIds
from vision.detection.parquet import COLUMNS, write_parquet
from vision.detection.schema import FORMAT, Category, CocoResult, Entry, Object, Omissions
from vision.detections import Detections
from vision.errors import DataError

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of formulas in spreadsheets; the CSV file has an apostrophe before them."""
NO_OMISSIONS: Omissions = {"failures": [], "skipped": 0, "capped": 0, "others": 0}


def make_entry(
    name: str,
    detections: Detections,
    names: Sequence[str],
    frame: int | None = None,
    seconds: float = 0.0,
    tracks: Sequence[int | None] | None = None,
) -> Entry:
    """Return the detections of an image as a JSON object; boxes are ``xyxy`` in its pixels.

    The entry of a video frame also has the frame's number, from 0, and time; detections that are
    in a track have the track's number.
    """
    objects: list[Object] = []
    for index, row in enumerate(detections):
        box = [round(value, 3) for value in row.box]
        found: Object = {"label": names[row.label], "score": round(row.score, 6), "box": box}
        if tracks is not None and (track := tracks[index]) is not None:
            found["track"] = track
        objects.append(found)
    entry: Entry = {"image": name, "size": list(detections.size or ()), "detections": objects}
    if frame is not None:
        entry["frame"], entry["time"] = frame, round(seconds, 6)
    return entry


def write_results(
    path: Path,
    kind: str,
    entries: Iterable[Entry],
    ids: CocoIds,
    omissions: Omissions = NO_OMISSIONS,
) -> None:
    """Write entries in a format, a key of `vision.detection.RESULTS`, in constant memory.

    Only the JSON format includes ``omissions``.

    Raises:
        DataError: If the file cannot be written, or an entry has no COCO id.
        ConfigError: If the format needs a package that is not installed.
    """
    if kind == "parquet":
        write_parquet(path, entries)
        return
    if kind == "json":
        write_rows(path, json_rows(entries, ids.categories(), omissions))
    elif kind == "coco":
        write_rows(path, coco_rows(row for entry in entries for row in _coco_results(entry, ids)))
    else:
        write_rows(path, csv_rows(entries))


def write_rows(path: Path, rows: Iterable[str]) -> None:
    """Write the text of a result file, piece by piece.

    Raises:
        DataError: If the file cannot be written.
    """
    try:
        with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            file.writelines(rows)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error


def _json_list(values: Iterable[object]) -> Iterator[str]:
    """The text of a JSON list, piece by piece, with one value per line."""
    separator = "[\n"
    for value in values:
        yield separator + json.dumps(value)
        separator = ",\n"
    yield "[]" if separator == "[\n" else "\n]"


def json_rows(
    entries: Iterable[Entry], categories: Sequence[Category], omissions: Omissions
) -> Iterator[str]:
    """The text of ``detections.json``."""
    head = {"format": FORMAT, **omissions, "categories": categories}
    yield "{" + "".join(f"{json.dumps(key)}: {json.dumps(head[key])},\n" for key in head)
    yield '"images": '
    yield from _json_list(entries)
    yield "}\n"


def coco_rows(results: Iterable[CocoResult]) -> Iterator[str]:
    """The text of ``coco_results.json``."""
    yield from _json_list(results)
    yield "\n"


def _coco_results(entry: Entry, ids: CocoIds) -> Iterator[CocoResult]:
    for item, box in zip(entry["detections"], _xywh(entry), strict=True):
        yield {
            "image_id": ids.image(entry["image"], entry.get("frame")),
            "category_id": ids.category(item["label"]),
            "bbox": [round(value, 3) for value in box],
            "score": item["score"],
        }


def _xywh(entry: Entry) -> list[list[float]]:
    boxes = torch.tensor([item["box"] for item in entry["detections"]], dtype=torch.float64)
    xywh: list[list[float]] = box_ops.xyxy_to_xywh(boxes.reshape(-1, 4)).tolist()
    return xywh


def csv_rows(entries: Iterable[Entry]) -> Iterator[str]:
    """The text of ``detections.csv``."""
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(COLUMNS)
    for entry in entries:
        place = (_cell(entry["image"]), entry.get("frame", ""))
        for item in entry["detections"]:
            found = (_cell(item["label"]), item["score"], *item["box"])
            writer.writerow((*place, *found, entry.get("time", ""), item.get("track", "")))
        yield line.getvalue()
        line.seek(0)
        line.truncate()
    yield line.getvalue()


def _cell(text: str) -> str:
    """Make a text valid in UTF-8, and no formula to a spreadsheet, as OWASP advises."""
    text = text.encode(errors="backslashreplace").decode()
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
