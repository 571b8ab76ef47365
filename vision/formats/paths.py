"""Finding the files that users and annotation files name, in whatever form a tool wrote it."""

import errno
import os
import re
import unicodedata
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath
from urllib.parse import unquote

from vision.errors import DataError
from vision.files import expand_home, split_lines
from vision.files import read_text as read_file

_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP})
_UPLOAD_PREFIX = re.compile(r"[0-9a-f]{8}-(?=[^/]+$)")
"""The prefix that Label Studio adds to the name of an uploaded file."""


def nfc(text: str) -> str:
    """The text in Unicode's form NFC; macOS may write file names in another form, NFD."""
    return unicodedata.normalize("NFC", text)


def full(path: str | Path) -> Path:
    """The absolute path, for messages; ``~`` is replaced by the home folder."""
    return Path(os.path.abspath(expand_home(path)))  # noqa: PTH100 - removes ".."


def find_below(root: str | None, name: str) -> Path | None:
    """The file or folder ``name`` below ``root``, else relative to the working directory."""
    for path in (expand_home(root or "") / name, expand_home(name)):
        if path.exists():
            return path
    return None


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises:
        DataError: If the file cannot be read, or is not UTF-8.
    """
    try:
        return read_file(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def read_lines(path: Path) -> list[str]:
    """The lines of `read_text` that are not empty, without leading and trailing spaces."""
    lines = map(str.strip, split_lines(read_text(path)))
    return [line for line in lines if line]


def any_case(folder: Path, name: str) -> Path:
    """``folder / name``, or an existing path that differs only in case, such as ``Images``."""
    if (folder / name).exists():
        return folder / name
    for part in Path(name).parts:
        inner = sorted(folder.iterdir()) if folder.is_dir() else []
        same = (path for path in inner if path.name.lower() == part.lower())
        folder = next(same, folder / part)
    return folder


class Files:
    """The visible regular files below a folder that have one of the suffixes.

    Args:
        folder: The folder.
        suffixes: File name suffixes in lower case, with their dots.
    """

    def __init__(self, folder: Path, suffixes: Collection[str]) -> None:
        self.folder = folder
        self._suffixes = suffixes

    @cached_property
    def by_name(self) -> dict[str, Path]:
        """Each file by its path below the folder, with slashes and in NFC, sorted."""
        found = {}
        suffixes = tuple(self._suffixes)
        for path in _visible_files(self.folder):
            if path.lower().endswith(suffixes):
                file = Path(path)
                found[nfc(file.relative_to(self.folder).as_posix())] = file
        return dict(sorted(found.items()))

    @cached_property
    def by_stem(self) -> dict[str, list[Path]]:
        """Files by their path below the folder without the suffix."""
        found: dict[str, list[Path]] = {}
        for name, path in self.by_name.items():
            found.setdefault(name[: -len(path.suffix)], []).append(path)
        return found

    def find(self, name: str) -> Path | None:
        """The file that an annotation file calls ``name``; None if there is none.

        Tools write folders that exist only on the author's machine, backslashes, percent escapes or
        a prefix. If several files match, the one that shares the most folders with it is chosen.
        """
        path = self._inside(name)
        # Path.is_file raises for names that are too long.
        if path is not None and os.path.isfile(path):  # noqa: PTH113
            return path
        tails = (tail for form in _forms(name) for tail in path_tails(form))
        return next((self.by_name[tail] for tail in tails if tail in self.by_name), None)

    def locate(self, name: str, where: object) -> Path:
        """The file that `find` returns, else the path where it should be.

        Args:
            name: The name that the annotation file has.
            where: The annotation file, for messages.

        Raises:
            DataError: If ``..`` in the name leads outside of the folder.
        """
        path = self.find(name) or self._inside(name)
        if path is None:
            raise DataError(
                f"{where} names {name}, which leads outside of"
                f" {full(self.folder)}; put the image into that folder"
            )
        return path

    def _inside(self, name: str) -> Path | None:
        """The path below the folder, or an absolute ``name``; None if ``..`` leads outside."""
        if ".." not in PurePath(name).parts:
            return self.folder / name
        folder = os.path.abspath(self.folder)  # noqa: PTH100 - Path.resolve would follow links
        path = Path(os.path.normpath(Path(folder, name)))
        return self.folder / path.relative_to(folder) if path.is_relative_to(folder) else None


def _visible_files(folder: str | Path) -> Iterator[str]:
    """Yield the paths of visible regular files below a folder, without following links to folders.

    Raises:
        DataError: If a folder cannot be opened.
    """
    try:
        entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except ValueError:  # no file can have that name
        return
    except OSError as error:
        if error.errno in _NOT_THERE:
            return
        raise DataError(f"folder {full(folder)} cannot be opened: {error.strerror}") from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _visible_files(entry.path)
        elif entry.is_file():
            yield entry.path


def path_tails(name: str) -> Iterator[str]:
    """Yield the ends of a path in NFC, the longest first: ``a/b/c``, ``b/c`` and ``c``."""
    parts = PurePosixPath(nfc(name)).parts
    for start in range(len(parts)):
        yield "/".join(parts[start:])


def _forms(name: str) -> Iterator[str]:
    """Yield the file names that a tool may have meant, the literal name first."""
    slashed = name.replace("\\", "/")
    decoded = unquote(slashed).rpartition("?d=")[2].replace("\\", "/")  # Label Studio's local files
    yield from (name, slashed, decoded)
    yield _UPLOAD_PREFIX.sub("", decoded)
