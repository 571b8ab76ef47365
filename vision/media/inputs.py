"""Finding the images and videos that the arguments of a command name."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vision.errors import DataError
from vision.files import read_text, split_lines
from vision.images import IMAGE_SUFFIXES
from vision.media.addresses import read_address
from vision.media.files import (
    VIDEO_SUFFIXES,
    comparable,
    named_files,
    result_path,
    written_path,
)
from vision.media.remote import find_remote, is_remote, show_url

Kind = Literal["image", "video", "stream"]


@dataclass(frozen=True, slots=True)
class MediaInput:
    """An image or a video to read.

    Attributes:
        path: The file; for an input with an address, its label.
        kind: Image or video, by its suffix, or ``stream``: a stream or camera.
        relative: Path of its result below an output folder, with a suffix that `write_image`
            or `VideoWriter` accepts; unique among the results of one call of `find_inputs`.
        address: URL of a stream or of a remote image, with its secrets, or number of a camera.
        label: Name, in messages and results, of an input with an address, without secrets; unique
            among the results of one call of `find_inputs`.
    """

    path: Path
    kind: Kind
    relative: Path
    address: str | int | None = field(default=None, repr=False)
    label: str | None = None

    @property
    def name(self) -> str:
        """The source's name in messages and results."""
        return self.label or str(self.path)


def find_inputs(
    inputs: Sequence[str],
    report: Callable[[str], None] | None = None,
    without: Path | None = None,
    leave_out: Callable[[Iterable[Path]], object] = lambda _: None,
) -> list[MediaInput]:
    """Find the images and videos that the inputs name, in their order, each file once.

    Args:
        inputs: Each is a file; a folder (searched recursively, sorted; hidden files are skipped and
            links to folders are not followed); a .txt file with one input per line, relative to
            that file's folder; a URL of a stream such as ``rtsp://...``, or of images as
            `vision.media.remote.find_remote` takes it; the number of a camera; or, if no file
            has that name, a glob pattern, in which ``**`` matches any number of folders.
        report: Called with each problem below a folder or in a list; by default, the first problem
            is raised.
        without: A folder that is not searched, for example the output folder.
        leave_out: Called with the files of a folder or pattern that are neither images nor videos.

    Raises:
        DataError: If an input does not exist, is empty, or is another kind of file.
    """
    search = _Search(report, without, leave_out)
    for text in inputs:
        search.add(text)
    return list(search.sources.values())


def image_input(name: str) -> MediaInput:
    """Make the input for the path or URL of an image, without checking that it exists."""
    if not is_remote(name):
        return MediaInput(Path(name), "image", Path(Path(name).name))
    label = show_url(name)
    return MediaInput(Path(label), "image", Path(Path(label).name), name, label)


def find_images(inputs: Sequence[str]) -> list[Path]:
    """Find the images that the inputs name, except those in formats that are not read.

    Raises:
        DataError: As `find_inputs`, or if an image is remote.
    """
    sources = [source for source in find_inputs(inputs) if source.kind == "image"]
    if remote := [source.name for source in sources if source.address is not None]:
        raise DataError(f"input {remote[0]} is not read here; download it, and name the file")
    paths = [source.path for source in sources]
    return [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES]


class _Search:
    """A search in progress; ``sources`` has the results by resolved path or by address."""

    def __init__(
        self,
        report: Callable[[str], None] | None,
        without: Path | None,
        leave_out: Callable[[Iterable[Path]], object],
    ) -> None:
        self._without = None if without is None else os.path.realpath(without)
        self.sources: dict[Path | str | int, MediaInput] = {}
        self._report = report
        self._leave_out = leave_out
        self._used: set[str] = set()
        self._labels = Counter[str]()
        self._lists: dict[Path, bool] = {}  # for each list so far, whether all of it was read

    def add(self, text: str, folder: Path = Path()) -> None:
        """Add the files that an input names, relative to a folder."""
        if not text:
            raise DataError("an input is empty; pass a file, a folder or a glob pattern")
        if is_remote(text):
            for url, below in find_remote(text):
                self._add_address(url, show_url(url), written_path(result_path(below)), "image")
        elif stream := read_address(text, folder):
            self._add_address(*stream)
        else:
            self._add_files(text, folder)

    def _add_files(self, text: str, folder: Path) -> None:
        path = folder / text
        try:
            if path.suffix.lower() == ".txt" and path.is_file():
                self._add_list(path)
                return
            how = self._without, self._report_or_raise, self._leave_out
            for file, below in named_files(path, *how):
                resolved = Path(os.path.realpath(file))  # which accepts circular links
                if resolved not in self.sources:
                    self.sources[resolved] = self._source(file, result_path(below))
        except OSError as error:
            raise DataError(f"input {error.filename} cannot be opened: {error.strerror}") from error

    def _add_address(
        self, address: str | int, label: str, below: Path, kind: Kind = "stream"
    ) -> None:
        """Add a stream or URL; labels of addresses that differ only in secrets are numbered."""
        if address not in self.sources:
            twins = self._labels[label]
            self._labels[label] += 1
            name = f"{label} ({twins + 1})" if twins else label
            source = MediaInput(Path(name), kind, self._unused(below), address, name)
            self.sources[address] = source

    def _add_list(self, path: Path) -> None:
        resolved = Path(os.path.realpath(path))
        if self._lists.get(resolved, False):
            return  # Reading each list again could take exponential time.
        if resolved in self._lists:
            raise DataError(f"list {path} names itself, or a list that names it; remove that line")
        try:
            lines = split_lines(read_text(path))
        except OSError as error:
            raise DataError(f"list {path} cannot be read: {error.strerror}") from error
        named = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not named:
            raise DataError(f"list {path} names no input; write one per line")
        self._lists[resolved] = False
        for line in named:
            try:
                self.add(line, path.parent)
            except DataError as error:  # noqa: PERF203 - the others are added
                self._report_or_raise(f"{path}: {error}")
        self._lists[resolved] = True

    def _report_or_raise(self, problem: str) -> None:
        if self._report is None:
            raise DataError(problem)
        self._report(problem)

    def _source(self, path: Path, below: Path) -> MediaInput:
        suffix = path.suffix.lower()
        if suffix in VIDEO_SUFFIXES:
            return MediaInput(path, "video", self._unused(below.with_suffix(".mp4")))
        return MediaInput(path, "image", self._unused(written_path(below)))

    def _unused(self, below: Path) -> Path:
        """Return the path of a result, numbered if another result has it already.

        Paths that differ only in case or in the composition of Unicode count as the same.
        """
        unused, number = below, 1
        while comparable(unused) in self._used:
            number += 1
            unused = below.with_stem(f"{below.stem}_{number}")
        self._used.add(comparable(unused))
        return unused
