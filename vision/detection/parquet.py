"""Detections as a Parquet file with one row per detection."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from vision.atomic import replacing
from vision.detection.schema import Entry
from vision.errors import DataError
from vision.extras import require_package

_ROWS = 20_000
"""Maximum number of rows in memory."""
COLUMNS = {
    "image": "string",
    "frame": "int64",
    "label": "string",
    "score": "float32",
    **dict.fromkeys(("x0", "y0", "x1", "y1"), "float32"),
    "time": "float64",
    "track": "int64",
}
"""Arrow's type of each column; ``detections.csv`` has the same columns."""


def write_parquet(path: Path, entries: Iterable[Entry]) -> None:
    """Write the detections of all entries, in constant memory.

    Raises:
        ConfigError: If pyarrow is not installed.
        DataError: If the file cannot be written.
    """
    pyarrow = require_package("pyarrow", "parquet")
    parquet = require_package("pyarrow.parquet", "parquet")
    schema = pyarrow.schema(list(COLUMNS.items()))
    rows = _rows(entries)
    try:
        with replacing(path) as partial, parquet.ParquetWriter(str(partial), schema) as writer:
            while some := list(itertools.islice(rows, _ROWS)):
                writer.write_table(pyarrow.Table.from_pylist(some, schema))
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error


def _rows(entries: Iterable[Entry]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        image = entry["image"].encode(errors="backslashreplace").decode()
        common = {"image": image, "frame": entry.get("frame"), "time": entry.get("time")}
        for item in entry["detections"]:
            box = dict(zip(("x0", "y0", "x1", "y1"), item["box"], strict=True))
            found = {"label": item["label"], "score": item["score"], "track": item.get("track")}
            yield {**common, **found, **box}
