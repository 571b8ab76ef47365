"""Finding the files that users and annotation files name, however a tool wrote the names."""

import os
import re
import unicodedata
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

_UPLOAD_PREFIX = re.compile(r"[0-9a-f]{8}-(?=[^/]+$)")
"""What Label Studio puts before the name of an uploaded file."""


def nfc(text: str) -> str:
    """The text in Unicode's form NFC: macOS writes the names of files in another one, NFD."""
    return unicodedata.normalize("NFC", text)


def full(path: str | Path) -> Path:
    """The absolute path, for messages; ``~`` is the home folder."""
    return Path(path).expanduser().absolute()


def find_below(root: str | None, name: str) -> Path | None:
    """The file or folder ``name`` below ``root``, else relative to the working directory."""
    for path in (Path(root or "").expanduser() / name, Path(name).expanduser()):
        if path.exists():
            return path
    return None


class Files:
    """The files with one of some suffixes in a folder and in those below it, except hidden ones.

    Args:
        folder: The folder.
        suffixes: In lower case, with their dots.
    """

    def __init__(self, folder: Path, suffixes: Collection[str]) -> None:
        self.folder = folder
        self._suffixes = suffixes

    @cached_property
    def by_name(self) -> dict[str, Path]:
        """Each file by its path below the folder, with slashes and in NFC, sorted."""
        found = {}
        for parent, folders, names in os.walk(self.folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = Path(parent, name)
                if path.suffix.lower() in self._suffixes and not name.startswith("."):
                    found[nfc(path.relative_to(self.folder).as_posix())] = path
        return dict(sorted(found.items()))

    @cached_property
    def by_stem(self) -> dict[str, list[Path]]:
        """The files of each path below the folder without its suffix."""
        found: dict[str, list[Path]] = {}
        for name, path in self.by_name.items():
            found.setdefault(name[: -len(path.suffix)], []).append(path)
        return found

    def find(self, name: str) -> Path | None:
        """The file that an annotation file calls ``name``.

        Tools put folders before it that are not here, write backslashes and percent signs, or add
        a prefix. Of the folders, as many as possible have to fit.
        """
        path = self.folder / name
        if os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises for names that are too long
            return path
        tails = (tail for form in _forms(name) for tail in path_tails(form))
        return next((self.by_name[tail] for tail in tails if tail in self.by_name), None)


def path_tails(name: str) -> Iterator[str]:
    """``a/b/c``, ``b/c`` and ``c``, in NFC."""
    parts = PurePosixPath(nfc(name)).parts
    for start in range(len(parts)):
        yield "/".join(parts[start:])


def _forms(name: str) -> Iterator[str]:
    """What tools may mean by a name, the literal meaning first."""
    slashed = name.replace("\\", "/")
    decoded = unquote(slashed).rpartition("?d=")[2].replace("\\", "/")  # Label Studio's local files
    yield from (name, slashed, decoded)
    yield _UPLOAD_PREFIX.sub("", decoded)
