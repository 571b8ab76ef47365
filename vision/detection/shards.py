"""Shards: the parts into which several processes or machines divide a detection run."""

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    model_validator,
    with_config,
)
from typing_extensions import NotRequired, TypedDict

from vision.choices import MAX_TILES
from vision.detection.journal import Journal
from vision.detection.results import write_rows
from vision.detection.schema import Category
from vision.errors import ConfigError
from vision.files import read_bytes
from vision.media import MediaInput

ResultKind: TypeAlias = Literal["json", "coco", "csv", "parquet"]
"""The keys of `vision.choices.RESULTS`."""
_FORM = re.compile(r"(\d{1,6})/(\d{1,6})", re.ASCII)


class Shard(NamedTuple):
    """One of ``total`` shards, numbered from 0: every ``total``-th input, from ``number`` on.

    Neighbouring files are often similar in size and content, so that shards of every n-th input
    take about equally long.
    """

    number: int
    total: int

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    def of(self, sources: Sequence[MediaInput]) -> Sequence[MediaInput]:
        """Select the inputs of this shard from the list of all inputs."""
        return sources[self.number :: self.total]


def parse_shard(text: str) -> Shard:
    """Parse ``I/N``.

    Raises:
        ConfigError: If the text has another form, or there is no such shard.
    """
    found = _FORM.fullmatch(text)
    shard = Shard(*map(int, found.groups())) if found else Shard(0, 0)
    if shard.number >= shard.total:
        raise ConfigError(f"--shard {text}: expected I/N with I from 0 to N - 1, such as 0/4")
    return shard


class ShardInput(NamedTuple):
    """An input of a finished shard.

    Attributes:
        name: Its name in results; not checked as a text, because file names may hold lone
            surrogates, which pydantic refuses.
        entries: Number of its entries in the results.
        is_done: Whether it was read to its end.
    """

    name: InstanceOf[str]
    entries: Annotated[int, Field(ge=0)]
    is_done: bool


@with_config(ConfigDict(extra="allow", strict=True))
class _Settings(TypedDict):
    """The settings that a merge reads; all others are only compared."""

    tiles: NotRequired[Annotated[int, Field(ge=2, le=MAX_TILES)] | Literal["auto"]]


class ShardRecord(BaseModel):
    """The file that a finished shard has next to its results, for `vision.detection.merge`.

    Attributes:
        format: The format's name.
        number: Number of the shard, from 0.
        total: Number of shards.
        digest: SHA-256 of the names of the inputs of all shards, see `digest_names`.
        settings: Settings that must be equal in all shards: weights, thresholds, classes, ...
        categories: The classes in label order, as in ``detections.json``.
        results: The formats of the results, keys of `vision.detection.RESULTS`.
        inputs: The inputs of this shard, in order.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    NAME: ClassVar[str] = "shard.json"

    format: Literal["ssdlite-shard-1"] = "ssdlite-shard-1"
    number: Annotated[int, Field(ge=0)]
    total: Annotated[int, Field(ge=1, lt=10**6)]
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    settings: _Settings
    categories: list[Category]
    results: list[ResultKind]
    inputs: list[ShardInput]

    @model_validator(mode="after")
    def _check(self) -> "ShardRecord":
        if self.number >= self.total:
            raise ValueError(f"there is no shard {self.shard}")
        if len(set(self.results)) != len(self.results):
            raise ValueError("results are named twice")
        return self

    @property
    def shard(self) -> Shard:
        """The shard's number and the number of shards."""
        return Shard(self.number, self.total)


def digest_names(names: Iterable[str]) -> str:
    """SHA-256 of the names of all inputs in their order."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(json.dumps(name).encode() + b"\n")
    return digest.hexdigest()


def digest_weights(path: str | Path) -> str:
    """SHA-256 of a weights file, and of the ``.bin`` next to it if OpenVINO or ncnn wrote one."""
    digest = hashlib.sha256()
    for file in (Path(path), Path(path).with_suffix(".bin")):
        if file.is_file():
            digest.update(read_bytes(file))
    return digest.hexdigest()


def write_record(
    folder: Path,
    shard: Shard,
    sources: Sequence[MediaInput],
    journal: Journal,
    equal: Mapping[str, Any],
) -> None:
    """Write the record of a shard that has ended.

    Args:
        folder: Folder of the shard's results.
        shard: The shard.
        sources: The inputs of all shards.
        journal: The journal of this shard.
        equal: The fields of `ShardRecord` that are equal in all shards of a run.

    Raises:
        DataError: If the record cannot be written.
    """
    names = [source.name for source in shard.of(sources)]
    counts = Counter(entry["image"] for entry in journal.entries(names))
    record = ShardRecord(
        number=shard.number,
        total=shard.total,
        digest=digest_names(source.name for source in sources),
        inputs=[ShardInput(name, counts[name], name in journal) for name in names],
        **equal,
    )
    write_rows(folder / ShardRecord.NAME, [json.dumps(record.model_dump())])


def in_order(records: Sequence[ShardRecord]) -> list[tuple[int, ShardInput]]:
    """All inputs in a single run's order, each with its shard's number; records are in order."""
    rows = itertools.zip_longest(*(record.inputs for record in records))
    return [pair for row in rows for pair in enumerate(row) if pair[1] is not None]
