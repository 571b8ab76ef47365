"""Detections of many inputs as files: JSON, COCO results, CSV; written entry by entry."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vision.atomic import replacing
from vision.choices import RESULTS
from vision.errors import DataError
from vision.structures import Detections

__all__ = ["RESULTS", "CocoIds", "entry_of", "write_results"]

Entry = Mapping[str, Any]

COLUMNS = ("image", "frame", "label", "score", "x0", "y0", "x1", "y1")


class CocoIds:
    """Which image and which category a COCO result names.

    Args:
        names: Class names in label order.
        annotations: An instances file whose ids are taken, by file name and class name; without
            one an image's id is its file name without suffix, a number where it is one, and
            categories are numbered from 1 in label order.

    Raises:
        DataError: If the file cannot be used or lacks a class.
    """

    def __init__(self, names: Sequence[str], annotations: Path | None = None) -> None:
        self._images: dict[str, int | str] | None = None
        self._categories = {name: number for number, name in enumerate(names, 1)}
        if annotations is None:
            return
        try:
            truth = json.loads(annotations.read_bytes())
            self._images = {Path(row["file_name"]).name: row["id"] for row in truth["images"]}
            known = {row["name"]: row["id"] for row in truth["categories"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{annotations} cannot be used as COCO instances: {error}") from error
        missing = [name for name in names if name not in known]
        if missing:
            raise DataError(f"{annotations} has no category named {', '.join(missing)}")
        self._categories = known

    def check(self, images: Sequence[str]) -> None:
        """Make sure that each image has an id of its own.

        Raises:
            DataError: Naming the first that has not.
        """
        seen: dict[int | str, str] = {}
        for name in images:
            number = self.image({"image": name})
            if number in seen:
                raise DataError(
                    f"images {seen[number]} and {name} have the same COCO id {number}; name them"
                    " apart, or leave coco out of --save"
                )
            seen[number] = name

    def image(self, entry: Entry) -> int | str:
        """The id of an entry's image.

        Raises:
            DataError: If the annotations do not list it.
        """
        path = Path(entry["image"])
        if self._images is not None:
            if path.name not in self._images:
                raise DataError(f"image {path} is not among the images of the COCO annotations")
            return self._images[path.name]
        if "frame" in entry:
            return f"{path.stem}:{entry['frame']}"
        return int(path.stem) if path.stem.isascii() and path.stem.isdecimal() else path.stem

    def category(self, label: str) -> int:
        """The id of a class."""
        return self._categories[label]


def entry_of(
    name: str, detections: Detections, names: Sequence[str], frame: int | None = None
) -> dict[str, Any]:
    """One image's detections as JSON has them; boxes are ``xyxy`` in the image's pixels."""
    rows = zip(
        detections.labels.tolist(),
        detections.scores.tolist(),
        detections.boxes.tolist(),
        strict=True,
    )
    return {
        "image": name,
        **({} if frame is None else {"frame": frame}),
        "size": list(detections.size or ()),
        "detections": [
            {"label": names[label], "score": round(score, 6), "box": [round(x, 3) for x in box]}
            for label, score, box in rows
        ],
    }


def write_results(path: Path, kind: str, entries: Iterable[Entry], ids: CocoIds) -> None:
    """Write entries in the format ``kind``, a key of `RESULTS`, in constant memory.

    Raises:
        DataError: If the file cannot be written, or an entry has no COCO id.
    """
    rows = _ROWS[kind](entries, ids)
    try:
        with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            file.writelines(rows)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error


def _json_list(values: Iterable[object]) -> Iterator[str]:
    separator = "[\n"
    for value in values:
        yield separator + json.dumps(value)
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def _json_rows(entries: Iterable[Entry], _: CocoIds) -> Iterator[str]:
    return _json_list(entries)


def _coco_rows(entries: Iterable[Entry], ids: CocoIds) -> Iterator[str]:
    return _json_list(
        {
            "image_id": ids.image(entry),
            "category_id": ids.category(found["label"]),
            "bbox": _to_size(*found["box"]),
            "score": found["score"],
        }
        for entry in entries
        for found in entry["detections"]
    )


def _to_size(x0: float, y0: float, x1: float, y1: float) -> list[float]:
    """COCO's ``[x, y, width, height]``."""
    return [x0, y0, round(x1 - x0, 3), round(y1 - y0, 3)]


def _csv_rows(entries: Iterable[Entry], _: CocoIds) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(COLUMNS)
    for entry in entries:
        name = entry["image"].encode(errors="backslashreplace").decode()
        for found in entry["detections"]:
            place = (name, entry.get("frame", ""))
            writer.writerow((*place, found["label"], found["score"], *found["box"]))
        yield line.getvalue()
        line.seek(0)
        line.truncate()
    yield line.getvalue()


_ROWS: dict[str, Callable[[Iterable[Entry], CocoIds], Iterator[str]]] = {
    "json": _json_rows,
    "coco": _coco_rows,
    "csv": _csv_rows,
}
