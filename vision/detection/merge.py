"""Merging the shards of a detection run into the results that a single run would have written."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vision.choices import RESULTS
from vision.detection.parquet import write_parquet
from vision.detection.results import coco_rows, csv_rows, json_rows, write_rows
from vision.detection.schema import CocoResult, Entry, Omissions
from vision.detection.shard_files import (
    changed,
    read_coco_rows,
    read_entries,
    read_omissions,
    read_record,
)
from vision.detection.shards import ShardRecord, digest_names, in_order
from vision.errors import DataError


@dataclass(frozen=True, slots=True)
class Shards:
    """All shards of one run, in order.

    Attributes:
        folders: Folders of their results.
        records: Their records.
    """

    folders: Sequence[Path]
    records: Sequence[ShardRecord]

    @property
    def results(self) -> Sequence[str]:
        """The formats of the shards' results, keys of `vision.detection.RESULTS`."""
        return self.records[0].results


@dataclass(slots=True)
class Merged:
    """Summary of a merge.

    Attributes:
        inputs: Number of images and of frames with results.
        objects: Number of detections in them, by class name.
        missing: Names of the inputs that failed in their shard, or were not read to their end.
    """

    inputs: Counter[str] = field(default_factory=Counter)
    objects: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)


def read_shards(folders: Sequence[Path]) -> Shards:
    """Read the records of the shards in ``folders``, which must be all shards of one run.

    Raises:
        DataError: If a shard is unfinished, missing or named twice, or if shards differ in inputs,
            weights, thresholds, classes or formats.
    """
    found: dict[int, Path] = {}
    records = [read_record(folder) for folder in folders]
    for folder, record in zip(folders, records, strict=True):
        _check_equal(folders[0], records[0], folder, record)
        if record.number in found:
            first = found[record.number]
            raise DataError(f"{first} and {folder} are both shard {record.shard}; name only one")
        found[record.number] = folder
    total = records[0].total
    if missing := [f"{number}/{total}" for number in range(total) if number not in found]:
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise DataError(f"the run lacks shard {missing[0]}{more}; name the folders of all shards")
    records.sort(key=lambda record: record.number)
    shards = Shards([found[record.number] for record in records], records)
    if "json" not in shards.results:
        raise DataError(f"{folders[0]} has no {RESULTS['json']}; run the shards with --save json")
    names = [source.name for _, source in in_order(shards.records)]
    if digest_names(names) != records[0].digest:
        raise DataError(
            f"the inputs of {folders[0]} and the other shards are not those of their run; run all"
            " shards again"
        )
    return shards


def _check_equal(first: Path, expected: ShardRecord, folder: Path, record: ShardRecord) -> None:
    def shown(record: ShardRecord) -> dict[str, Any]:
        names = {"number of shards": record.total, "list of inputs": record.digest}
        kinds = {"categories": record.categories, "--save": record.results}
        return {**names, **kinds, **record.settings}

    ours, theirs = shown(expected), shown(record)
    if changed := [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]:
        raise DataError(
            f"{first} and {folder} are from different runs ({', '.join(changed)}); run all shards"
            " with the same inputs and options"
        )


def merge_shards(shards: Shards, out: Path) -> Merged:
    """Write the results of all shards, in all formats that they have, as a single run would.

    Memory holds only the names of the inputs and one entry.

    Args:
        shards: From `read_shards`.
        out: The folder to write.

    Raises:
        DataError: If a file cannot be read or written, or differs from what its run wrote.
        ConfigError: If a format needs a package that is not installed.
    """
    merged = Merged()
    for kind in shards.results:
        path, entries = out / RESULTS[kind], (entry for _, entry in _entries(shards))
        if kind == "json":
            categories, omissions = shards.records[0].categories, _omissions(shards)
            write_rows(path, json_rows(_counted(entries, merged), categories, omissions))
        elif kind == "csv":
            write_rows(path, csv_rows(entries))
        elif kind == "coco":
            write_rows(path, coco_rows(_coco_results(shards)))
        else:
            write_parquet(path, entries)
    inputs = (source for _, source in in_order(shards.records))
    merged.missing = [source.name for source in inputs if not source.is_done]
    return merged


def _omissions(shards: Shards) -> Omissions:
    """What a single run would have left out; a missing input has failed in every shard."""
    parts = [read_omissions(folder / RESULTS["json"]) for folder in shards.folders]
    omissions: Omissions = {
        "failures": sorted({line for part in parts for line in part["failures"]}),
        "skipped": sum(part["skipped"] for part in parts),
        "capped": sum(part["capped"] for part in parts),
        "others": max(part["others"] for part in parts),  # every shard has counted all of them
    }
    if tiles := shards.records[0].settings.get("tiles"):
        omissions["tiles"] = tiles
    return omissions


def _counted(entries: Iterable[Entry], merged: Merged) -> Iterator[Entry]:
    for entry in entries:
        merged.inputs["frame" if "frame" in entry else "image"] += 1
        merged.objects.update(item["label"] for item in entry["detections"])
        yield entry


def _entries(shards: Shards) -> Iterator[tuple[int, Entry]]:
    """Yield the entries of all shards in a single run's order, each with its shard's number."""
    paths = [folder / RESULTS["json"] for folder in shards.folders]
    readers = [read_entries(path) for path in paths]
    for number, source in in_order(shards.records):
        for _ in range(source.entries):
            entry = next(readers[number], None)
            if entry is None or entry["image"] != source.name:
                raise changed(paths[number])
            yield number, entry
    _check_ends(paths, readers)


def _coco_results(shards: Shards) -> Iterator[CocoResult]:
    """Yield the rows of the shards' COCO results, whose scores must match the entries'."""
    paths = [folder / RESULTS["coco"] for folder in shards.folders]
    readers = [read_coco_rows(path) for path in paths]
    for number, entry in _entries(shards):
        rows = list(itertools.islice(readers[number], len(entry["detections"])))
        scores = [item["score"] for item in entry["detections"]]
        if [row["score"] for row in rows] != scores:
            raise changed(paths[number])
        yield from rows
    _check_ends(paths, readers)


def _check_ends(paths: Sequence[Path], readers: Sequence[Iterator[object]]) -> None:
    for path, reader in zip(paths, readers, strict=True):
        if next(reader, None) is not None:
            raise changed(path)
