"""The settings of a detection run, checks of what it would overwrite, and its summary."""

# h and w the height and width of an image

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import UInt8
from numpy import ndarray

from vision.choices import RESULTS
from vision.detection.counting import Counts, Region
from vision.detection.image_files import label_places
from vision.detection.journal_lines import parse_entry
from vision.detection.schema import HEAD, Entry, Omissions
from vision.errors import DataError
from vision.files import open_regular
from vision.media import MediaInput

logger = logging.getLogger(__name__)

_NO_ENTRY = (b"[", b"]", b'{"format":', *(f'"{key}":'.encode() for key in HEAD))
"""Beginnings of the lines of ``detections.json`` that are not entries."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a detection run.

    Attributes:
        out: Folder of the results.
        pictures: Whether annotated images and videos are written.
        results: Formats, keys of `vision.detection.RESULTS`.
        stride: Every n-th frame of a video is processed and written.
        workers: Number of batches processed at the same time.
        batch: Images in a batch.
        show: Called with each annotated image.
        reconnect: Seconds for which reopening a stream that has ended is tried; 0 for never.
        folders: Kinds of files written for each image, from `vision.choices.FOLDERS`.
        track: Whether objects are tracked over the frames of a video.
        regions: Lines and zones in which tracked objects are counted.
    """

    out: Path
    pictures: bool = True
    results: Sequence[str] = ("json",)
    stride: int = 1
    workers: int = 1
    batch: int = 1
    show: Callable[[UInt8[ndarray, "h w 3"]], None] | None = None
    reconnect: float = 0.0
    folders: Sequence[str] = ()
    track: bool = False
    regions: Sequence[Region] = ()


def check_inputs_stay(sources: Sequence[MediaInput], out: Path) -> None:
    """Check that no annotated image or video would overwrite an input.

    Raises:
        DataError: If one would.
    """
    # os.path, because Path.resolve() fails on circular links
    inputs = {os.path.realpath(source.path) for source in sources if source.address is None}
    for source in sources:
        if os.path.realpath(out / source.relative) in inputs:
            raise DataError(f"{out / source.relative} would be overwritten; name another --out")


def check_complete(sources: Sequence[MediaInput], out: Path) -> None:
    """Check that a complete run has results of all sources.

    Raises:
        DataError: If one has neither an entry in ``detections.json`` nor a file of its own, so that
            it is missing, or unknown because there is no ``detections.json``.
    """
    path = out / RESULTS["json"]
    named = {entry["image"] for entry in entries_in(path)} if path.is_file() else set()
    for source in sources:
        places = (source.relative, *label_places(source))
        if source.name not in named and not any((out / place).exists() for place in places):
            what = f"results of {source.name}" if path.is_file() else f"{path.name} with its inputs"
            raise DataError(
                f"the run in {out} is complete, but has no {what}; name another --out, or start"
                " again with --overwrite"
            )


def entries_in(path: Path) -> Iterator[Entry]:
    """Yield the entries of ``detections.json``, line by line.

    Version 0.1 wrote only the list of entries, which can be read as well.

    Raises:
        DataError: If the file cannot be read.
    """
    try:
        with open_regular(path) as file:
            for line in map(bytes.strip, file):
                if not line.startswith(_NO_ENTRY):
                    yield parse_entry(line.rstrip(b","), path)
    except OSError as error:
        raise DataError(f"{path} cannot be read as results ({error.strerror})") from error


def check_results_stay(
    sources: Sequence[MediaInput], settings: Settings, *, is_unfinished: bool
) -> None:
    """Check that a new run would overwrite no results of an earlier one.

    Args:
        sources: The inputs of the new run.
        settings: Settings of the new run.
        is_unfinished: Whether the earlier run was interrupted.

    Raises:
        DataError: If it would.
    """
    out = settings.out
    if is_unfinished:
        raise DataError(
            f"{out} holds an unfinished run; continue it with --resume, or start again with"
            " --overwrite"
        )
    files = [out / RESULTS[kind] for kind in settings.results]
    if settings.pictures:
        files += [out / source.relative for source in sources]
    existing = [file for file in files if file.exists()]
    if existing:
        more = f" and {len(existing) - 1} more exist" if existing[1:] else " exists"
        raise DataError(f"{existing[0]}{more}; name another --out, or pass --overwrite")


def check_folders_are_new(settings: Settings) -> None:
    """Check that the files of a new run will not be mixed with files of an earlier one.

    Raises:
        DataError: If a folder of `vision.choices.FOLDERS` that the run writes exists.
    """
    for name in settings.folders:
        if (folder := settings.out / name).exists():
            raise DataError(
                f"{folder} exists, and may hold files of an earlier run; remove it, or name"
                " another --out"
            )


@dataclass(slots=True)
class Report:
    """Summary of a detection run.

    Attributes:
        inputs: Number of images and of frames with results, including those before a resume.
        objects: Number of detections in them, by class name.
        failures: One line for each input that failed.
        num_final: Number of failed live streams, whose frames are kept; they are not tried again.
        others: Files in folders that are neither images nor videos.
        num_capped: Images and frames that have the maximum number of detections.
        num_skipped: Inputs that were not reached before an interruption.
        num_resumed: Inputs that were completed before this run resumed.
        num_new: Images and frames that this run has processed.
        counts: Counts in each region at the end of each tracked video, by the video's name.
        interruption: Ctrl-C or the signal after which the remaining inputs were left out.
    """

    inputs: Counter[str] = field(default_factory=Counter)
    objects: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    num_final: int = 0
    others: set[Path] = field(default_factory=set)
    num_capped: int = 0
    num_skipped: int = 0
    num_resumed: int = 0
    num_new: int = 0
    counts: dict[str, Mapping[str, Counts]] = field(default_factory=dict)
    interruption: KeyboardInterrupt | None = None

    def fail(self, problem: str) -> None:
        """Record a failure and log it."""
        logger.warning("%s", problem)
        self.failures.append(problem)

    def omissions(self) -> Omissions:
        """What the results leave out, in the format of ``detections.json``."""
        skipped, capped = self.num_skipped, self.num_capped
        failures, others = sorted(self.failures), len(self.others)
        return {"failures": failures, "skipped": skipped, "capped": capped, "others": others}
