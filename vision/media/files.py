"""Writing image files, paths of results, and finding the files that users name."""

# h and w the height and width of an image

import errno
import glob
import logging
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
from jaxtyping import UInt8
from numpy import ndarray

from vision.atomic import replacing
from vision.errors import DataError
from vision.files import check_opens, check_regular, similar_file
from vision.images import IMAGE_SUFFIXES, OTHER_IMAGE_SUFFIXES

logger = logging.getLogger(__name__)

WRITTEN_IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_VIDEO_FORMATS = ("avi", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "webm", "wmv")
VIDEO_SUFFIXES = frozenset(f".{name}" for name in _VIDEO_FORMATS)
_READ = IMAGE_SUFFIXES | VIDEO_SUFFIXES
_SUFFIXES = _READ | OTHER_IMAGE_SUFFIXES  # The others are reported as images that are not read.
_ACCEPTED = f"accepted are {' '.join(sorted(_READ))}"


def write_image(path: str | Path, image: UInt8[ndarray, "h w 3"]) -> None:
    """Write an RGB image in the format that the file's suffix names, creating its folder.

    The file is complete when it appears; an existing one is replaced.

    Raises:
        DataError: If the suffix is not one of `WRITTEN_IMAGE_SUFFIXES`, the image is too large for
            the format, or the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITTEN_IMAGE_SUFFIXES:
        accepted = " ".join(sorted(WRITTEN_IMAGE_SUFFIXES))
        raise DataError(f"image {path} cannot be written: its suffix must be one of {accepted}")
    try:
        encoded, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except cv2.error:
        encoded = False
    if not encoded:
        height, width = image.shape[:2]
        raise DataError(
            f"image {path} cannot be written: {suffix} does not hold {width} x {height} pixels"
        )
    try:
        with replacing(path, sync=False) as partial:
            partial.write_bytes(data.tobytes())
    except OSError as error:
        raise DataError(f"image {path} cannot be written: {error.strerror or error}") from error


def comparable(path: Path) -> str:
    """Normalise a path as file systems do that ignore case and the composition of Unicode."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())


def result_path(below: Path) -> Path:
    """The part of a path after its root and last ``..``, which cannot leave the output folder."""
    parts = [part for part in below.parts if part != below.anchor]
    while ".." in parts:
        parts = parts[parts.index("..") + 1 :]
    return Path(*parts)


def written_path(below: Path) -> Path:
    """The path of an image's result, with a suffix that `write_image` accepts."""
    is_written = below.suffix.lower() in WRITTEN_IMAGE_SUFFIXES
    return below if is_written else below.with_suffix(".png")


def files_below(folder: Path, without: str | None, report: Callable[[str], None]) -> Iterator[Path]:
    """Yield relative paths of all files below a folder, without hidden ones and links to folders.

    Args:
        folder: The folder.
        without: Real path of a subfolder to leave out.
        report: Called with a message about each subfolder that cannot be opened.

    Raises:
        OSError: If the folder itself cannot be opened.
    """
    check_opens(folder)

    def fail(error: OSError) -> None:
        report(f"folder {error.filename} cannot be opened: {error.strerror}")

    for parent, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(Path(parent, name)) != without
        ]
        below = Path(parent).relative_to(folder)
        yield from (below / name for name in files if not name.startswith("."))


def match_below(folder: Path, pattern: Path) -> set[Path]:
    """The paths below a folder that match a glob pattern, without hidden ones, as in a shell.

    Links to folders are followed if a part of the pattern matches them, but not by ``**``, because
    they may be circular.
    """
    parts = list(pattern.parts)
    if "**" not in parts:
        return set(map(Path, glob.iglob(str(pattern), root_dir=folder)))  # noqa: PTH207
    at = parts.index("**")
    heads = match_below(folder, Path(*parts[:at])) if at else {Path()}
    rest = parts[at + 1 :]
    while rest[:1] == ["**"]:
        del rest[0]
    tail = Path(*rest) if rest else Path("*")
    return {
        below / found
        for head in heads
        for below in _folders_below(folder, head)
        for found in match_below(folder / below, tail)
    }


def _folders_below(folder: Path, head: Path) -> Iterator[Path]:
    """``head`` and all folders in it, relative to ``folder``, without hidden ones and links."""
    for parent, folders, _ in os.walk(folder / head):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield Path(parent).relative_to(folder)


def fixed_part(pattern: Path) -> Path:
    """The folder above the first part of a glob pattern that has wildcards."""
    folder = Path()
    for part in pattern.parts[:-1]:
        if glob.has_magic(part) and not (folder / part).is_dir():
            break
        folder /= part
    return folder


def _why_not(path: Path) -> str:
    """Explain why a path is neither a file nor a folder."""
    try:
        check_regular(path)
    except OSError as error:
        return "does not exist" if error.errno == errno.ENOENT else f"is not read: {error.strerror}"
    return "does not exist"  # It has been created in the meantime.


def named_files(
    path: Path,
    without: str | None,
    report: Callable[[str], None],
    leave_out: Callable[[Iterable[Path]], object],
) -> list[tuple[Path, Path]]:
    """Find the images and videos that a path or pattern names, each with its path in the folder.

    Args:
        path: A file, a folder or, if neither exists under this name, a glob pattern.
        without: As for `files_below`.
        report: As for `files_below`.
        leave_out: Called with the files that are neither images nor videos.

    Raises:
        DataError: If the path does not exist, has no image or video, or is another kind of file.
    """
    if path.is_file():
        if path.suffix.lower() not in _SUFFIXES:
            raise DataError(f"{path} is neither an image nor a video; {_ACCEPTED}")
        return [(path, Path(path.name))]
    paths: Iterable[Path]
    if path.is_dir():
        folder, paths = path, files_below(path, without, report)
    elif glob.has_magic(str(path)):
        folder = fixed_part(path)
        try:
            check_opens(folder)
            paths = match_below(folder, path.relative_to(folder))
        except ValueError as error:  # a NUL or a lone surrogate
            raise DataError(f"input {path}: no file can have this name") from error
    else:
        hint = similar_file(path) or "; pass a file, a folder or a glob pattern"
        raise DataError(f"input {path} {_why_not(path)}{hint}")
    found = [below for below in sorted(paths) if not (folder / below).is_dir()]
    files = [(folder / below, below) for below in found if below.suffix.lower() in _SUFFIXES]
    others = [below for below in found if below.suffix.lower() not in _SUFFIXES]
    if files and others:
        what = "files that are neither images nor videos are left out"
        logger.info("%s: %s: %d (first: %s)", path, what, len(others), others[0])
    leave_out(folder / below for below in others)
    if not files:
        what = "holds" if path.is_dir() else "matches"
        raise DataError(f"input {path} {what} no image or video; {_ACCEPTED}")
    return files
