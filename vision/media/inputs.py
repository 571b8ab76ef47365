"""Finding the images and videos that a command line names."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vision.errors import DataError
from vision.images import IMAGE_SUFFIXES
from vision.media.files import WRITTEN_IMAGE_SUFFIXES

__all__ = ["VIDEO_SUFFIXES", "Source", "find_inputs"]

VIDEO_SUFFIXES = frozenset(
    {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"}
)

Kind = Literal["image", "video"]


@dataclass(frozen=True, slots=True)
class Source:
    """An image or a video to read.

    Attributes:
        path: The file.
        kind: What it is, by its suffix.
        relative: Where its result goes below an output folder, with a suffix that `write_image`
            or `VideoWriter` accepts. No two sources of one `find_inputs` share it.
    """

    path: Path
    kind: Kind
    relative: Path


def find_inputs(inputs: Sequence[str]) -> list[Source]:
    """The images and videos that the inputs name, in their order, each file once.

    Args:
        inputs: Each is a file, a folder (searched to its depths, sorted; what is hidden is passed
            over), or, where nothing has that very name, a glob pattern; ``**`` in it stands for
            any folders.

    Raises:
        DataError: If an input does not exist, has nothing to read, or is another kind of file.
    """
    sources: dict[Path, Source] = {}
    taken: set[str] = set()
    try:
        for text in inputs:
            for path, below in _expand(text):
                resolved = path.resolve()
                if resolved not in sources:
                    sources[resolved] = _source(path, below, taken)
    except OSError as error:
        raise DataError(f"input {error.filename} cannot be opened: {error.strerror}") from error
    return list(sources.values())


def _expand(text: str) -> list[tuple[Path, Path]]:
    """The files that one input names, each with its path below what was named."""
    path = Path(text)
    if path.is_file():
        if not _is_accepted(path):
            raise DataError(f"{path} is neither an image nor a video; accepted are {_accepted()}")
        return [(path, Path(path.name))]
    if path.is_dir():
        folder, found = path, _walk(path)
    elif glob.has_magic(text):
        folder = _fixed_part(path)
        pattern = str(path.relative_to(folder))
        # unlike Path.glob, as a shell does: passes over what is hidden
        found = map(Path, glob.iglob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207
    else:
        raise DataError(f"input {path} does not exist; pass a file, a folder or a glob pattern")
    files = [
        (folder / below, below)
        for below in sorted(found)
        if _is_accepted(below) and (folder / below).is_file()
    ]
    if not files:
        what = "holds" if path.is_dir() else "matches"
        raise DataError(f"input {path} {what} no image or video; accepted are {_accepted()}")
    return files


def _walk(folder: Path) -> Iterator[Path]:
    """Paths, below a folder, of all files in it and in its folders but the hidden ones."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith("."):
                yield Path(parent, name).relative_to(folder)


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


def _source(path: Path, below: Path, taken: set[str]) -> Source:
    """The source at a path; its place among the results is added to those taken.

    Places that differ in case only count as one, as they do to some file systems.
    """
    suffix = path.suffix.lower()
    kind: Kind = "video" if suffix in VIDEO_SUFFIXES else "image"
    if kind == "video":
        below = below.with_suffix(".mp4")
    elif suffix not in WRITTEN_IMAGE_SUFFIXES:
        below = below.with_suffix(".png")
    free, number = below, 1
    while str(free).casefold() in taken:
        number += 1
        free = below.with_stem(f"{below.stem}_{number}")
    taken.add(str(free).casefold())
    return Source(path, kind, free)
