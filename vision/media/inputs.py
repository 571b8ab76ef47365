"""Finding the images and videos that the arguments of a command name."""

import glob
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vision.errors import DataError
from vision.images import IMAGE_SUFFIXES, OTHER_IMAGE_SUFFIXES
from vision.media.files import WRITTEN_IMAGE_SUFFIXES, fixed_part, url_file_name

logger = logging.getLogger(__name__)

_VIDEO_FORMATS = ("avi", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "webm", "wmv")
VIDEO_SUFFIXES = frozenset(f".{name}" for name in _VIDEO_FORMATS)
Kind = Literal["image", "video", "stream"]

_READ = IMAGE_SUFFIXES | VIDEO_SUFFIXES
_SUFFIXES = _READ | OTHER_IMAGE_SUFFIXES  # of which each is named as an image that is not read
_ACCEPTED = f"accepted are {' '.join(sorted(_READ))}"
_STREAM = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MediaInput:
    """An image or a video to read.

    Attributes:
        path: The file; for a stream or camera, the argument that named it.
        kind: Image or video by its suffix; a ``stream`` has no known end.
        relative: Path of its result below an output folder, with a suffix that `write_image`
            or `VideoWriter` accepts; different for all sources of one `find_inputs`.
        address: URL of a stream, or number of a camera.
    """

    path: Path
    kind: Kind
    relative: Path
    address: str | int | None = None

    @property
    def name(self) -> str:
        """The source's name in messages and results."""
        return str(self.path) if self.address is None else str(self.address)


def find_inputs(
    inputs: Sequence[str], report: Callable[[str], None] | None = None, without: Path | None = None
) -> list[MediaInput]:
    """The images and videos that the inputs name, in their order, each file once.

    Args:
        inputs: Each is a file; a folder (searched recursively, sorted; hidden files are skipped and
            links to folders are not followed); a .txt file with one input per line, relative to
            that file's folder; a URL such as ``rtsp://...``; the number of a camera; or, where no
            file has that name, a glob pattern, in which ``**`` stands for any folders.
        report: Called with each problem below a folder or in a list; without it, the first one
            raises.
        without: A folder that is not searched: that of the results.

    Raises:
        DataError: If an input does not exist, is empty, or is another kind of file.
    """
    search = _Search(report, without)
    for text in inputs:
        search.add(text)
    return list(search.sources.values())


def find_images(inputs: Sequence[str]) -> list[Path]:
    """The images among what the inputs name, but for those in formats that are not read."""
    paths = [source.path for source in find_inputs(inputs) if source.kind == "image"]
    return [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES]


class _Search:
    """A search in progress; ``sources`` has the results by resolved path or by address."""

    def __init__(self, report: Callable[[str], None] | None, without: Path | None) -> None:
        self._without = None if without is None else os.path.realpath(without)
        self.sources: dict[Path | str | int, MediaInput] = {}
        self._report = report
        self._used: set[str] = set()

    def add(self, text: str, folder: Path = Path()) -> None:
        """Add the files that an input names, relative to a folder."""
        is_number = text.isdecimal() and text.isascii() and not (folder / text).exists()
        if is_number or _STREAM.match(text):
            address = int(text) if is_number else text
            below = Path(f"camera_{text}" if is_number else url_file_name(text)).with_suffix(".mp4")
            source = MediaInput(Path(text), "stream", self._unused(below), address)
            self.sources.setdefault(address, source)
            return
        path = folder / text
        if path.suffix.lower() == ".txt" and path.is_file():
            self._add_list(path)
            return
        try:
            for file, below in self._expand(path):
                resolved = Path(os.path.realpath(file))  # which accepts circular links
                if resolved not in self.sources:
                    self.sources[resolved] = self._source(file, below)
        except OSError as error:
            raise DataError(f"input {error.filename} cannot be opened: {error.strerror}") from error

    def _add_list(self, path: Path) -> None:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"list {path} cannot be read as UTF-8 text: {error}") from error
        named = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not named:
            raise DataError(f"list {path} names no input; write one per line")
        for line in named:
            try:
                self.add(line, path.parent)
            except DataError as error:  # noqa: PERF203 - the others are added
                self._report_or_raise(f"{path}: {error}")

    def _expand(self, path: Path) -> list[tuple[Path, Path]]:
        """The files that a path or pattern names, each with its path below the named folder."""
        if path.is_file():
            if path.suffix.lower() not in _SUFFIXES:
                raise DataError(f"{path} is neither an image nor a video; {_ACCEPTED}")
            return [(path, Path(path.name))]
        if path.is_dir():
            folder, paths = path, self._walk(path)
        elif glob.has_magic(str(path)):
            folder = fixed_part(path)
            pattern = str(path.relative_to(folder))
            # Unlike Path.glob, and like a shell, this skips hidden files.
            paths = map(Path, glob.iglob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207
        else:
            raise DataError(f"input {path} does not exist; pass a file, a folder or a glob pattern")
        found = [below for below in sorted(paths) if not (folder / below).is_dir()]
        files = [(folder / below, below) for below in found if below.suffix.lower() in _SUFFIXES]
        others = [below for below in found if below.suffix.lower() not in _SUFFIXES]
        if files and others:
            what = f"neither images nor videos are left out (first: {others[0]})"
            logger.info("%s: %d files that are %s", path, len(others), what)
        if not files:
            what = "holds" if path.is_dir() else "matches"
            raise DataError(f"input {path} {what} no image or video; {_ACCEPTED}")
        return files

    def _walk(self, folder: Path) -> Iterator[Path]:
        """Relative paths of all files below a folder, except hidden ones."""

        def report(error: OSError) -> None:
            self._report_or_raise(f"folder {error.filename} cannot be opened: {error.strerror}")

        for parent, folders, files in os.walk(folder, onerror=report):
            folders[:] = [
                name
                for name in folders
                if not name.startswith(".")
                and os.path.realpath(Path(parent, name)) != self._without
            ]
            below = Path(parent).relative_to(folder)
            yield from (below / name for name in files if not name.startswith("."))

    def _report_or_raise(self, problem: str) -> None:
        if self._report is None:
            raise DataError(problem)
        self._report(problem)

    def _source(self, path: Path, below: Path) -> MediaInput:
        suffix = path.suffix.lower()
        if suffix in VIDEO_SUFFIXES:
            return MediaInput(path, "video", self._unused(below.with_suffix(".mp4")))
        if suffix not in WRITTEN_IMAGE_SUFFIXES:
            below = below.with_suffix(".png")
        return MediaInput(path, "image", self._unused(below))

    def _unused(self, below: Path) -> Path:
        """The path, numbered if a result has it already.

        Paths that differ only in case are the same, as they are on some file systems.
        """
        unused, number = below, 1
        while str(unused).casefold() in self._used:
            number += 1
            unused = below.with_stem(f"{below.stem}_{number}")
        self._used.add(str(unused).casefold())
        return unused
