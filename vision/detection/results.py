"""Result files of many inputs: JSON, COCO results and CSV, written entry by entry."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import vision.boxes as box_ops
from vision.atomic import replacing
from vision.detection.parquet import write_parquet
from vision.errors import DataError
from vision.structures import Detections

Entry = Mapping[str, Any]

COLUMNS = ("image", "frame", "label", "score", "x0", "y0", "x1", "y1", "seconds", "track")


class CocoIds:
    """Image and category ids of COCO results.

    Args:
        names: Class names in label order.
        annotations: A COCO instances file whose ids are used, by file name and class name. Without
            it, an image's id is its file name without suffix, as a number where it is one, and
            categories are numbered from 1 in label order.

    Raises:
        DataError: If the file cannot be used or lacks a class.
    """

    def __init__(self, names: Sequence[str], annotations: Path | None = None) -> None:
        self._images: defaultdict[str, list[int | str]] | None = None
        self._categories = {name: number for number, name in enumerate(names, 1)}
        if annotations is None:
            return
        try:
            instances = json.loads(annotations.read_bytes())
            self._images = defaultdict(list)
            for row in instances["images"]:
                self._images[Path(row["file_name"]).name].append(row["id"])
            known = {row["name"]: row["id"] for row in instances["categories"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{annotations} cannot be used as COCO instances: {error}") from error
        missing = [name for name in names if name not in known]
        if missing:
            raise DataError(f"{annotations} has no category named {', '.join(missing)}")
        self._categories = known

    def check(self, images: Sequence[str]) -> None:
        """Check that the images have different ids.

        Raises:
            DataError: If two have the same.
        """
        seen: dict[int | str, str] = {}
        for name in images:
            number = self.image({"image": name})
            if number in seen:
                raise DataError(
                    f"images {seen[number]} and {name} have the same COCO id {number}; rename"
                    " one, or leave coco out of --save"
                )
            seen[number] = name

    def image(self, entry: Entry) -> int | str:
        """The id of an entry's image.

        Raises:
            DataError: If the annotations do not list it, or list several of its name.
        """
        path = Path(entry["image"])
        if self._images is not None:
            ids = self._images.get(path.name, [])
            if not ids:
                raise DataError(f"image {path} is not among the images of the COCO annotations")
            if ids[1:]:
                raise DataError(
                    f"the COCO annotations have {len(ids)} images named {path.name}, with the ids"
                    f" {', '.join(map(str, ids))}; leave coco out of --save, or rename them"
                )
            return ids[0]
        if "frame" in entry:
            return f"{path.stem}:{entry['frame']}"
        return int(path.stem) if path.stem.isascii() and path.stem.isdecimal() else path.stem

    def category(self, label: str) -> int:
        """The id of a class."""
        return self._categories[label]


def make_entry(
    name: str,
    detections: Detections,
    names: Sequence[str],
    frame: int | None = None,
    seconds: float = 0.0,
    tracks: Sequence[int | None] | None = None,
) -> dict[str, Any]:
    """The detections of one image as a JSON object; boxes are ``xyxy`` in the image's pixels.

    Frames of videos have their number, from 0, and their time; detections in tracked videos have
    the number of their track, or None.
    """
    rows = zip(
        detections.labels.tolist(),
        detections.scores.tolist(),
        detections.boxes.tolist(),
        strict=True,
    )
    return {
        "image": name,
        **({} if frame is None else {"frame": frame, "seconds": round(seconds, 6)}),
        "size": list(detections.size or ()),
        "detections": [
            {
                "label": names[label],
                "score": round(score, 6),
                "box": [round(x, 3) for x in box],
                **({} if tracks is None else {"track": tracks[index]}),
            }
            for index, (label, score, box) in enumerate(rows)
        ],
    }


def write_results(path: Path, kind: str, entries: Iterable[Entry], ids: CocoIds) -> None:
    """Write entries in a format, a key of `vision.detection.RESULTS`, in constant memory.

    Raises:
        DataError: If the file cannot be written, or an entry has no COCO id.
        ConfigError: If the format needs a package that is not installed.
    """
    if kind == "parquet":
        write_parquet(path, entries)
        return
    rows = _ROWS[kind](entries, ids)
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
    yield "[]\n" if separator == "[\n" else "\n]\n"


def _coco_rows(entries: Iterable[Entry], ids: CocoIds) -> Iterator[str]:
    return _json_list(
        {
            "image_id": ids.image(entry),
            "category_id": ids.category(item["label"]),
            "bbox": [round(value, 3) for value in box],
            "score": item["score"],
        }
        for entry in entries
        for item, box in zip(entry["detections"], _xywh(entry), strict=True)
    )


def _xywh(entry: Entry) -> list[list[float]]:
    boxes = torch.tensor([item["box"] for item in entry["detections"]], dtype=torch.float64)
    xywh: list[list[float]] = box_ops.xyxy_to_xywh(boxes.reshape(-1, 4)).tolist()
    return xywh


def _csv_rows(entries: Iterable[Entry], _: CocoIds) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(COLUMNS)
    for entry in entries:
        name = entry["image"].encode(errors="backslashreplace").decode()
        for item in entry["detections"]:
            place = (name, entry.get("frame", ""))
            found = (item["label"], item["score"], *item["box"])
            writer.writerow((*place, *found, entry.get("seconds", ""), item.get("track", "")))
        yield line.getvalue()
        line.seek(0)
        line.truncate()
    yield line.getvalue()


_ROWS: dict[str, Callable[[Iterable[Entry], CocoIds], Iterator[str]]] = {
    "json": lambda entries, _: _json_list(entries),
    "coco": _coco_rows,
    "csv": _csv_rows,
}
