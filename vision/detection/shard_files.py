"""Reading the record and the result files of a shard for a merge: checked, row by row."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from vision.detection.journal import Journal
from vision.detection.results import NO_OMISSIONS
from vision.detection.schema import CocoResult, Entry, Omissions
from vision.detection.settings import entries_in
from vision.detection.shards import ShardRecord
from vision.errors import DataError
from vision.files import open_regular, read_text

_OMISSIONS = TypeAdapter(Omissions)
_ENTRY = TypeAdapter(Entry)
_COCO_RESULT = TypeAdapter(CocoResult)


def changed(path: Path) -> DataError:
    """The error for a file that does not fit its format or the record of its shard."""
    return DataError(f"{path} differs from what its run wrote; run that shard again")


def read_record(folder: Path) -> ShardRecord:
    """Read the record of the shard in a folder.

    Raises:
        DataError: If there is none, because the run has not ended or had no ``--shard``, or if it
            cannot be read.
    """
    path = folder / ShardRecord.NAME
    try:
        return ShardRecord.model_validate(json.loads(read_text(path)))
    except FileNotFoundError as error:
        reason = f"{folder} has no {path.name}; name folders of runs with --shard"
        if (folder / Journal.NAME).exists():
            reason = f"the run in {folder} has not ended; continue it with --resume"
        raise DataError(reason) from error
    except (OSError, ValueError, RecursionError) as error:
        what = _first_fault(error) if isinstance(error, ValidationError) else error
        raise DataError(f"{path} cannot be read ({what}); run that shard again") from error


def _first_fault(error: ValidationError) -> str:
    fault = error.errors()[0]
    return ": ".join(filter(None, (".".join(map(str, fault["loc"])), fault["msg"])))


def read_omissions(path: Path) -> Omissions:
    """Read what the run of a shard left out from the head of ``detections.json``.

    ``others`` is 0 for runs of earlier versions, which did not count it.

    Raises:
        DataError: If the file cannot be read.
    """
    try:
        with open_regular(path) as file:
            head = itertools.takewhile(lambda line: not line.startswith(b'"images"'), file)
            content = json.loads(b"".join(head).rstrip(b",\n") + b"}")
        present = {key: content[key] for key in NO_OMISSIONS if key in content}
        return _OMISSIONS.validate_python({"others": 0, **present})
    except (OSError, ValueError, TypeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "its first lines are damaged"
        raise DataError(f"{path} cannot be read ({reason}); run that shard again") from error


def read_entries(path: Path) -> Iterator[Entry]:
    """Yield the entries of ``detections.json``.

    Raises:
        DataError: If the file cannot be read, or an entry has the wrong format.
    """
    for entry in entries_in(path):
        _check(_ENTRY.validate_python, {**entry, "image": ""}, path)
        yield entry


def read_coco_rows(path: Path) -> Iterator[CocoResult]:
    """Yield the rows of ``coco_results.json``.

    Raises:
        DataError: If the file cannot be read, or a row has the wrong format.
    """
    try:
        with open_regular(path) as file:
            for line in map(bytes.strip, file):
                if line not in {b"[", b"]", b"[]"}:
                    row = json.loads(line.rstrip(b","))
                    if not isinstance(row, dict) or not isinstance(row.get("image_id"), int | str):
                        raise changed(path)
                    _check(_COCO_RESULT.validate_python, {**row, "image_id": 0}, path)
                    yield row  # type: ignore[misc]
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path} cannot be read ({reason}); run that shard again") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise changed(path) from error


def _check(validate: Callable[[Any], object], value: object, path: Path) -> None:
    """Validate a value, without its image's name: pydantic refuses lone surrogates."""
    try:
        validate(value)
    except ValidationError as error:
        raise changed(path) from error
