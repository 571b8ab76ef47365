"""YOLO's files: ``data.yaml``, and the images of a split with their text files."""

import contextlib
import itertools
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from vision.config.yaml12 import parse_yaml
from vision.errors import DataError
from vision.files import expand_home
from vision.formats.folders import SPLIT_NAMES, files_in, head_of
from vision.formats.paths import Files, any_case, full, path_tails, read_lines, read_text
from vision.formats.records import Tally
from vision.images import IMAGE_SUFFIXES, OTHER_IMAGE_SUFFIXES

_ROW = re.compile(rb"\s*\d+(?:\.0*)?(?:[ \t]+-?[\d.]+(?:[eE]-?\d+)?){4,}\s*(?:\n|$)")
PLACES = ("{}/images", "images/{}", "{}", "{}.txt")
"""Where the images of a split are searched, if no file names them."""


def describe(root: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of the data and the content of its ``data.yaml`` or ``obj.data``, if any."""
    files = [root] if root.is_file() else [root / "data.yaml", root / "data.yml"]
    if root.is_dir() and not any(file.is_file() for file in files):
        files = [file for file in sorted(root.glob("*.y*ml")) if _is_description(file)]
    for file in files:
        if file.is_file():
            content = _parse_yaml(file)
            if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
                raise DataError(f"{file}: expected keys such as train, val and names")
            return file.parent, content
    if not root.is_dir():
        raise DataError(f"YOLO data: {full(root)} does not exist")
    darknet = root / "obj.data"
    lines = read_lines(darknet) if darknet.is_file() else []
    pairs = [line.partition("=") for line in lines if "=" in line]
    return root, {key.strip(): value.strip() for key, _, value in pairs}


def _is_description(file: Path) -> bool:
    try:
        content = _parse_yaml(file)
    except DataError:
        return False
    return isinstance(content, dict) and "names" in content


def _parse_yaml(file: Path) -> Any:  # noqa: ANN401
    try:
        return parse_yaml(read_text(file))
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{file} is not YAML: {' '.join(str(error).split())}") from error


def yolo_splits(root: str | Path) -> list[str]:
    """The splits for which `vision.formats.yolo.read_yolo` finds images."""
    folder, description = describe(expand_home(root))
    found = []
    for split in SPLIT_NAMES:
        with contextlib.suppress(DataError):  # data.yaml often names splits without images
            if split_images(folder, description, split, Tally()):
                found.append(split)
    return found


def split_images(
    folder: Path, description: dict[str, Any], split: str | None, tally: Tally
) -> list[Path]:
    """The images of a split, in the order of its list, or sorted by name."""
    if split is None:
        return _listed(folder, folder, tally)
    names = SPLIT_NAMES.get(split, (split,))
    given = next((description[name] for name in names if description.get(name)), None)
    if given is not None:
        texts = given if isinstance(given, list) else [given]
        places = [_place(folder, description, str(text)) for text in texts]
        return [image for place in places for image in _listed(place, folder, tally)]
    for form, name in itertools.product(PLACES, names):
        place = any_case(folder, form.format(name))
        if place.exists():
            return _listed(place, folder, tally)
    tried = ", ".join(form.format(split) for form in PLACES)
    raise DataError(f"YOLO data {full(folder)} has no split {split}; add one of {tried}")


def _place(folder: Path, description: dict[str, Any], text: str) -> Path:
    """The folder or list that ``data.yaml`` names for a split.

    The path is often valid only on the author's machine. So as many leading folders as necessary
    are removed, but never all folders.
    """
    base = folder / str(description.get("path") or "")
    slashed = text.replace("\\", "/")
    tails = [tail.lstrip("/") for tail in path_tails(slashed) if not tail.startswith("..")]
    is_short = len(tails) <= 2 or Path(slashed).suffix == ".txt"
    candidates = [base / text, folder / text]
    candidates += [folder / tail for tail in (tails if is_short else tails[:-1])]
    for path in candidates:
        if path.exists():
            return path
    raise DataError(f"YOLO data {full(folder)} names {text}, which does not exist; correct it")


def _listed(place: Path, folder: Path, tally: Tally) -> list[Path]:
    """The images in a folder, or those that a list names."""
    files = Files(place if place.is_dir() else folder, IMAGE_SUFFIXES | OTHER_IMAGE_SUFFIXES)
    if not place.is_dir():
        return [files.locate(line, place) for line in read_lines(place)]
    for path in files.by_name.values():
        if (suffix := path.suffix.lower()) in OTHER_IMAGE_SUFFIXES:
            tally.note(f"images left out, as {suffix} files are not read", path)
    return [path for path in files.by_name.values() if path.suffix.lower() in IMAGE_SUFFIXES]


def label_folders(images: Path, root: Path) -> list[Path]:
    """Folders that may hold the text files of a folder of images: itself, or ``labels``."""
    is_below = images.is_relative_to(root)
    start, parts = (root, images.relative_to(root).parts) if is_below else (Path(), images.parts)
    folders = [images]
    for index in reversed(range(len(parts))):
        if parts[index].lower() == "images":
            place = any_case(start.joinpath(*parts[:index]), "labels")
            folders.append(place.joinpath(*parts[index + 1 :]))
    folders += [root.joinpath("labels", *parts), images.parent / "labels"]
    return [folder for folder in folders if folder.is_dir()]


def has_rows(file: Path) -> bool:
    """Whether a text file begins with a row of YOLO's format."""
    return bool(_ROW.match(head_of(file)))


def rows_without_image(
    folders: Collection[Path], used: Collection[Path], root: Path, places: Collection[Path]
) -> list[Path]:
    """The text files in ``folders`` that have rows, but no image with their name.

    Images are searched for below ``root``, and in each of ``places`` but not below these, because
    the lines of a list can name any folder on the disk.
    """
    files = [file for folder in folders for file in files_in(folder, {".txt"})]
    unused = [file for file in files if file not in used and has_rows(file)]
    if not unused:
        return []
    suffixes = IMAGE_SUFFIXES | OTHER_IMAGE_SUFFIXES
    images = [*Files(root, suffixes).by_name.values()]
    images += [path for place in places for path in files_in(place, suffixes)]
    stems = {path.stem for path in images}
    return [file for file in unused if file.stem not in stems]
