"""Open Images' format: one CSV file for each split, with box corners as fractions of the sides."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from vision.errors import DataError
from vision.files import expand_home
from vision.formats.folders import SPLIT_NAMES
from vision.formats.paths import Files, find_below, full, nfc, read_text
from vision.formats.records import AnnotatedObject, Annotations
from vision.images import IMAGE_SUFFIXES, OTHER_IMAGE_SUFFIXES

CORNERS = ("XMin", "YMin", "XMax", "YMax")


def read_open_images(
    root: str, split: str | None = None, annotations: str | None = None, images: str | None = None
) -> Annotations:
    """Read one split of ``root``.

    Class names are read from the file of class descriptions, if there is one. Boxes of groups
    (``IsGroupOf``) are crowds. Rows without an image file are left out, and so are images without
    a row, because no annotator has looked at them.

    Args:
        root: Folder that holds ``SPLIT-annotations-bbox.csv`` and the split's images; or
            FiftyOne's ``SPLIT/labels/detections.csv`` and ``SPLIT/data/``.
        split: ``train``, ``val`` or ``test``; not needed with ``annotations`` and ``images``.
        annotations: The CSV file to read instead of the split's; below ``root``, or a path.
        images: The folder of images to use instead of the split's; below ``root``, or a path.

    Raises:
        DataError: If a file or folder is missing or invalid.
    """
    if not split and not (annotations and images):
        raise DataError("Open Images data: give split, or annotations and images")
    folder = expand_home(root)
    names = SPLIT_NAMES.get(split or "", (split or "",))
    tables = [f"*{name}-annotations-bbox.csv" for name in names]
    tables += [f"{name}/labels/detections.csv" for name in names]
    file = _find(folder, annotations, tables)
    folders = [f"{name}/data" for name in names] + [*names]
    image_folder = _find(folder, images, folders)
    files = Files(image_folder, IMAGE_SUFFIXES | OTHER_IMAGE_SUFFIXES)
    result = Annotations()
    descriptions = _descriptions(folder, file)
    objects: dict[Path, list[AnnotatedObject]] = {}
    for number, row in enumerate(_rows(file), start=2):
        found = files.by_stem.get(row.get("ImageID", "")) or []
        if not found and "ImageID" in row:
            result.tally.note("rows without an image file left out", file)
            continue
        with result.collecting("invalid annotation", file):
            item = _object(row, descriptions, f"{file}:{number}")
            objects.setdefault(found[0], []).append(item)
    for path in files.by_name.values():
        if path in objects:
            result.add_image(path, None, objects[path], relative=True)
        else:
            result.tally.note("images without a row left out", path)
    if not objects:
        raise DataError(f"{file}: none of its images is in {full(image_folder)}; add the images")
    used = {name for record in result.records for name in record.names}
    result.names = [name for name in dict.fromkeys(descriptions.values()) if name in used]
    result.names += sorted(used - set(result.names))
    return result


def _find(folder: Path, name: str | None, patterns: Sequence[str]) -> Path:
    """The file or folder ``name`` if given, else the first in ``folder`` that a pattern matches."""
    if name:
        found = find_below(str(folder), name)
    else:
        found = next((path for pattern in patterns for path in sorted(folder.glob(pattern))), None)
    if found is None:
        wanted = name or f"none of {', '.join(patterns)}"
        raise DataError(f"Open Images root {full(folder)} has {'no ' * bool(name)}{wanted}")
    return found


def _descriptions(folder: Path, file: Path) -> dict[str, str]:
    """Class names by identifier, such as ``/m/01yrx``; empty without a file of descriptions."""
    places = [folder, file.parent, file.parent.parent / "metadata", folder / "metadata"]
    for place in places:
        for pattern in ("*class-descriptions*.csv", "classes.csv"):
            for path in sorted(place.glob(pattern)):
                rows = [row for row in _read(path) if len(row) > 1 and row[0] != "LabelName"]
                return {row[0]: nfc(row[1]) for row in rows if row[1]}
    return {}


def _read(file: Path) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(read_text(file), newline="")))
    except csv.Error as error:
        raise DataError(f"{file} cannot be read as CSV: {error}") from error


def _rows(file: Path) -> list[dict[str, str]]:
    header, *rows = _read(file) or [[]]
    missing = [key for key in ("ImageID", "LabelName", *CORNERS) if key not in header]
    if missing:
        raise DataError(
            f"{file}: expected the columns of Open Images, but it lacks {', '.join(missing)}"
        )
    return [dict(zip(header, row, strict=False)) for row in rows if row]


def _object(row: dict[str, str], descriptions: dict[str, str], where: str) -> AnnotatedObject:
    try:
        x0, y0, x1, y1 = (float(row[key]) for key in CORNERS)
        name = row["LabelName"]
    except (KeyError, ValueError) as error:
        raise DataError(f"{where}: expected a name and four numbers, found {row}") from error
    if not name or "ImageID" not in row:
        raise DataError(f"{where}: expected an image and a name, found {row}")
    is_group = row.get("IsGroupOf") == "1"
    return AnnotatedObject(descriptions.get(name, name), (x0, y0, x1, y1), is_group, is_group)
