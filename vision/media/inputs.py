"""Finding the images and videos that a command line names."""

import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from vision.errors import DataError
from vision.images import IMAGE_SUFFIXES
from vision.media.files import WRITTEN_IMAGE_SUFFIXES

__all__ = ["VIDEO_SUFFIXES", "Source", "find_inputs"]

VIDEO_SUFFIXES = frozenset(
    {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"}
)

LIST_SUFFIX = ".txt"

Kind = Literal["image", "video", "stream"]

_STREAM = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Source:
    """An image or a video to read.

    Attributes:
        path: The file; of a stream or camera, what was named.
        kind: What it is, by its suffix; a ``stream`` has no end that is known.
        relative: Where its result goes below an output folder, with a suffix that `write_image`
            or `VideoWriter` accepts. No two sources of one `find_inputs` share it.
    """

    path: Path
    kind: Kind
    relative: Path
    address: str | int | None = None
    """URL of a stream, or number of a camera."""

    @property
    def name(self) -> str:
        """What names it in messages and results."""
        return str(self.path) if self.address is None else str(self.address)


def find_inputs(
    inputs: Sequence[str],
    report: Callable[[str], None] | None = None,
    without: Path | None = None,
) -> list[Source]:
    """The images and videos that the inputs name, in their order, each file once.

    Args:
        inputs: Each is a file; a folder (searched to its depths, sorted; what is hidden is passed
            over, links to folders are not followed); a .txt file with an input a line, paths in it
            being relative to its folder; a URL such as ``rtsp://...``; the number of a camera; or,
            where nothing has that very name, a glob pattern; ``**`` in it stands for any folders.
        without: A folder that searching folders passes over: that of the results.
        report: Told of what cannot be opened on the way, below a folder or in a list; None raises.

    Raises:
        DataError: If an input does not exist, has nothing to read, or is another kind of file.
    """
    search = _Search(report, without)
    for text in inputs:
        search.add(text)
    return list(search.sources.values())


class _Search:
    """What was found so far.

    Attributes:
        sources: By resolved path, or by address.
    """

    def __init__(self, report: Callable[[str], None] | None, without: Path | None) -> None:
        self._without = None if without is None else os.path.realpath(without)
        self.sources: dict[Path | str | int, Source] = {}
        self._report = report
        self._taken: set[str] = set()

    def add(self, text: str, folder: Path = Path()) -> None:
        """Add what one input names, relative to a folder."""
        is_number = text.isdecimal() and text.isascii() and not (folder / text).exists()
        if is_number or _STREAM.match(text):
            address = int(text) if is_number else text
            below = Path(f"camera_{text}" if is_number else _plain(text)).with_suffix(".mp4")
            self._put(address, Source(Path(text), "stream", self._free(below), address))
            return
        path = folder / text
        if path.suffix.lower() == LIST_SUFFIX and path.is_file():
            self._add_list(path)
            return
        try:
            for found, below in self._expand(path):
                resolved = Path(os.path.realpath(found))  # as a link in a circle has it, too
                if resolved not in self.sources:
                    self._put(resolved, self._source(found, below))
        except OSError as error:
            raise DataError(f"input {error.filename} cannot be opened: {error.strerror}") from error

    def _add_list(self, path: Path) -> None:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"list {path} cannot be read as UTF-8 text: {error}") from error
        named = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not named:
            raise DataError(f"list {path} names no input; write one a line")
        for line in named:
            try:
                self.add(line, path.parent)
            except DataError as error:  # noqa: PERF203 - each has its own
                self._tell(f"{path}: {error}")

    def _expand(self, path: Path) -> list[tuple[Path, Path]]:
        """The files that a path or pattern names, each with its path below what was named."""
        if path.is_file():
            if not _is_accepted(path):
                raise DataError(
                    f"{path} is neither an image nor a video; accepted are {_accepted()}"
                )
            return [(path, Path(path.name))]
        if path.is_dir():
            folder, found = path, self._walk(path)
        elif glob.has_magic(str(path)):
            folder = _fixed_part(path)
            pattern = str(path.relative_to(folder))
            # unlike Path.glob, as a shell does: passes over what is hidden
            found = map(Path, glob.iglob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207
        else:
            raise DataError(f"input {path} does not exist; pass a file, a folder or a glob pattern")
        files = [
            (folder / below, below)
            for below in sorted(found)
            if _is_accepted(below) and not (folder / below).is_dir()
        ]
        if not files:
            what = "holds" if path.is_dir() else "matches"
            raise DataError(f"input {path} {what} no image or video; accepted are {_accepted()}")
        return files

    def _walk(self, folder: Path) -> Iterator[Path]:
        """Paths, below a folder, of all files in it and in its folders but the hidden ones."""

        def tell(error: OSError) -> None:
            self._tell(f"folder {error.filename} cannot be opened: {error.strerror}")

        for parent, folders, files in os.walk(folder, onerror=tell):
            folders[:] = [
                name
                for name in folders
                if not name.startswith(".")
                and os.path.realpath(Path(parent, name)) != self._without
            ]
            for name in files:
                if not name.startswith("."):
                    yield Path(parent, name).relative_to(folder)

    def _tell(self, problem: str) -> None:
        if self._report is None:
            raise DataError(problem)
        self._report(problem)

    def _source(self, path: Path, below: Path) -> Source:
        suffix = path.suffix.lower()
        kind: Kind = "video" if suffix in VIDEO_SUFFIXES else "image"
        if kind == "video":
            below = below.with_suffix(".mp4")
        elif suffix not in WRITTEN_IMAGE_SUFFIXES:
            below = below.with_suffix(".png")
        return Source(path, kind, self._free(below))

    def _free(self, below: Path) -> Path:
        """A place among the results that none has.

        Places that differ in case only count as one, as they do to some file systems.
        """
        free, number = below, 1
        while str(free).casefold() in self._taken:
            number += 1
            free = below.with_stem(f"{below.stem}_{number}")
        self._taken.add(str(free).casefold())
        return free

    def _put(self, key: Path | str | int, source: Source) -> None:
        self.sources.setdefault(key, source)


def _plain(url: str) -> str:
    """A file name of a URL, without what it may hold of passwords."""
    place = urlsplit(url)
    return (
        re.sub(r"[^A-Za-z0-9]+", "_", f"{place.hostname or ''}{place.path}").strip("_") or "stream"
    )


def _fixed_part(pattern: Path) -> Path:
    """The folder above the first part of a glob pattern that is not itself a folder's name."""
    folder = Path()
    for part in pattern.parts[:-1]:
        if glob.has_magic(part) and not (folder / part).is_dir():
            break
        folder /= part
    return folder


def _is_accepted(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES


def _accepted() -> str:
    return " ".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES))
