"""YOLO's format: one text file for each image, with ``class x y width height`` in a line."""

import contextlib
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

import vision.boxes as box_ops
import vision.formats.json_table as tables
from vision.config.yaml12 import dump_yaml, parse_yaml
from vision.errors import DataError
from vision.formats.json_file import load_json
from vision.formats.paths import Files, full, nfc, path_tails
from vision.formats.records import AnnotatedObject, Annotations, Record, Tally
from vision.formats.written import copy_images, new_folder, objects_to_write
from vision.images import IMAGE_SUFFIXES, OTHER_IMAGE_SUFFIXES

SPLIT_NAMES = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
"""What tools call a split."""

_MAX_FRACTION = 2.0
"""Larger numbers are pixels; a box that only reaches beyond its image is clipped."""


def read_yolo(root: str, split: str | None = None) -> Annotations:
    """Read one split of ``root``, or all its images.

    A row has the number of a class, then the box's centre, width and height, or the corners of a
    polygon, which becomes its box; all in fractions of the image's sides. An image without a text
    file shows background.

    The images are those that ``data.yaml`` or ``obj.data`` names for the split; else those in
    ``SPLIT/images``, ``images/SPLIT`` or ``SPLIT``, or in the list ``SPLIT.txt``. Text files lie
    beside the images, or in ``labels`` where the images lie in ``images``. Classes are named by
    ``data.yaml``, ``obj.names``, ``classes.txt`` or ``notes.json``.

    Args:
        root: The folder, or its ``data.yaml``.
        split: ``train``, ``val`` or ``test``; None for all images.

    Raises:
        DataError: If a file or folder is missing or invalid.
    """
    folder, description = _describe(Path(root).expanduser())
    result = Annotations()
    images = _images(folder, description, split, result.tally)
    if not images:
        raise DataError(f"YOLO data {full(folder)}: no image in split {split or 'of any name'}")
    names = _names(folder, description)
    num_names = 0
    for image in images:
        label_file = _label_file(image, folder)
        with result.collecting("invalid annotation", label_file or image):
            rows = [] if label_file is None else _rows(label_file)
            has_keypoints = "kpt_shape" in description
            objects = [
                _object(row[:5] if has_keypoints else row, names, where, result.tally)
                for where, row in rows
            ]
            num_names = max([num_names, *(int(float(row[0])) + 1 for _, row in rows)])
            result.add_image(image, None, objects, relative=True)
    if names is None:
        result.tally.note("data without names of classes, which are called by number", full(folder))
    result.names = names or [str(number) for number in range(num_names)]
    return result


def yolo_splits(root: str | Path) -> list[str]:
    """The splits of which `read_yolo` finds images."""
    folder, description = _describe(Path(root).expanduser())
    found = []
    for split in SPLIT_NAMES:
        with contextlib.suppress(DataError):  # data.yaml often names what was not exported
            if _images(folder, description, split, Tally()):
                found.append(split)
    return found


def _describe(root: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of the data and the content of its ``data.yaml`` or ``obj.data``, if any."""
    files = [root] if root.is_file() else [root / "data.yaml", root / "data.yml"]
    if root.is_dir() and not any(file.is_file() for file in files):
        files = [file for file in sorted(root.glob("*.y*ml")) if _is_description(file)]
    for file in files:
        if file.is_file():
            content = _parse_yaml(file)
            if not isinstance(content, dict):
                raise DataError(f"{file}: expected keys such as train, val and names")
            return file.parent, content
    if not root.is_dir():
        raise DataError(f"YOLO data: {full(root)} does not exist")
    darknet = root / "obj.data"
    if darknet.is_file():
        pairs = [line.partition("=") for line in _text(darknet).splitlines() if "=" in line]
        return root, {key.strip(): value.strip() for key, _, value in pairs}
    return root, {}


def _is_description(file: Path) -> bool:
    try:
        content = _parse_yaml(file)
    except DataError:
        return False
    return isinstance(content, dict) and "names" in content


def _parse_yaml(file: Path) -> Any:  # noqa: ANN401
    try:
        return parse_yaml(_text(file))
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{file} is not YAML: {' '.join(str(error).split())}") from error


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read as UTF-8 text: {error}") from error


def _names(folder: Path, description: dict[str, Any]) -> list[str] | None:
    """Class names by number, None if no file has them."""
    given = description.get("names")
    if isinstance(given, dict):
        return _numbered(given.items(), f"names of {full(folder)}")
    if isinstance(given, list):
        return [nfc(str(name)) for name in given]
    files = [folder / tail for tail in path_tails(given)] if isinstance(given, str) else []
    files += [folder / name for name in ("obj.names", "classes.txt")]
    files += [folder / inner / "classes.txt" for inner in ("labels", "images")]
    for file in files:
        if file.is_file():
            return [nfc(line.strip()) for line in _text(file).splitlines() if line.strip()]
    notes = folder / "notes.json"
    if not notes.is_file():
        return None
    content = load_json(notes, dict, "an object with categories")
    rows = tables.check_rows(str(notes), content.get("categories"), ("id", "name"))
    return _numbered(((row["id"], row["name"]) for row in rows), str(notes))


def _numbered(pairs: Iterable[tuple[object, object]], where: str) -> list[str]:
    """The names by their numbers, which must be 0, 1, ..."""
    names = {str(number): nfc(str(name)) for number, name in pairs}
    missing = [str(number) for number in range(len(names)) if str(number) not in names]
    if missing:
        raise DataError(
            f"{where}: expected the numbers 0 to {len(names) - 1}, found no {missing[0]}"
        )
    return [names[str(number)] for number in range(len(names))]


def _images(
    folder: Path, description: dict[str, Any], split: str | None, tally: Tally
) -> list[Path]:
    """The images of a split, in the order of a list, else sorted."""
    if split is None:
        return _listed(folder, folder, tally)
    names = SPLIT_NAMES.get(split, (split,))
    given = next((description[name] for name in names if description.get(name)), None)
    if given is not None:
        places = given if isinstance(given, list) else [given]
        return list(
            itertools.chain.from_iterable(
                _listed(_place(folder, description, str(place)), folder, tally) for place in places
            )
        )
    forms = ("{}/images", "images/{}", "{}", "{}.txt")
    for form, name in itertools.product(forms, names):
        place = folder / form.format(name)
        if place.exists():
            return _listed(place, folder, tally)
    places_tried = ", ".join(form.format(split) for form in forms)
    raise DataError(f"YOLO data {full(folder)} has no split {split}: none of {places_tried}")


def _place(folder: Path, description: dict[str, Any], text: str) -> Path:
    """The folder or list that ``data.yaml`` names for a split.

    What is written is often true only on the machine of its author; of the folders that it begins
    with, as few as possible are left out, but never all.
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
    raise DataError(f"YOLO data {full(folder)} names {text}, which does not exist")


def _listed(place: Path, folder: Path, tally: Tally) -> list[Path]:
    """The images in a folder, or of a list."""
    if place.is_dir():
        files = Files(place, IMAGE_SUFFIXES | OTHER_IMAGE_SUFFIXES)
        found = []
        for path in files.by_name.values():
            if path.suffix.lower() in OTHER_IMAGE_SUFFIXES:
                what = f"images left out, as {path.suffix.lower()} files are not read"
                tally.note(what, path)
            else:
                found.append(path)
        return found
    files = Files(folder, IMAGE_SUFFIXES | OTHER_IMAGE_SUFFIXES)
    lines = [line.strip() for line in _text(place).splitlines() if line.strip()]
    return [files.find(line) or folder / line for line in lines]


def _label_file(image: Path, root: Path) -> Path | None:
    """The text file of an image: beside it, or in ``labels`` where the image is in ``images``."""
    candidates = [image.with_suffix(".txt")]
    below = image.relative_to(root).parts if image.is_relative_to(root) else image.parts
    start = root if image.is_relative_to(root) else Path()
    for index in reversed([index for index, part in enumerate(below) if part == "images"]):
        changed = [*below[:index], "labels", *below[index + 1 :]]
        candidates.append(start.joinpath(*changed).with_suffix(".txt"))
    candidates.append(root.joinpath("labels", *below).with_suffix(".txt"))
    candidates.append(image.parent.parent / "labels" / f"{image.stem}.txt")
    return next((path for path in candidates if path.is_file()), None)


def _rows(file: Path) -> list[tuple[str, list[str]]]:
    """The rows of a text file that are not empty, each with its place for messages."""
    lines = enumerate(_text(file).splitlines(), start=1)
    return [(f"{file}:{number}", line.split()) for number, line in lines if line.strip()]


def _object(
    row: Sequence[str], names: list[str] | None, where: str, tally: Tally
) -> AnnotatedObject:
    try:
        label, *values = map(float, row)
    except ValueError as error:
        raise DataError(f"{where}: expected numbers, found {' '.join(row)}") from error
    if not label.is_integer() or label < 0 or (names is not None and label >= len(names)):
        known = "" if names is None else f" below {len(names)}, the number of names"
        raise DataError(f"{where}: expected the number of a class{known}, found {row[0]}")
    if any(abs(value) > _MAX_FRACTION for value in values):
        found = next(value for value in values if abs(value) > _MAX_FRACTION)
        raise DataError(f"{where}: expected fractions of the image's sides, found {found:g}")
    name = str(int(label)) if names is None else names[int(label)]
    if len(values) >= 6 and len(values) % 2 == 0:
        tally.note("polygons turned into their boxes", where)
        x, y = values[::2], values[1::2]
        return AnnotatedObject(name, (min(x), min(y), max(x), max(y)))
    if len(values) != 4:
        raise DataError(
            f"{where}: expected class, x, y, width, height, or a class and a polygon, found"
            f" {len(row)} numbers"
        )
    x0, y0, x1, y1 = box_ops.to_corners(torch.tensor(values, dtype=torch.float64)).tolist()
    return AnnotatedObject(name, (x0, y0, x1, y1))


def write_yolo(annotations: Annotations, root: Path, split: str) -> Tally:
    """Write a split: ``images/SPLIT/``, ``labels/SPLIT/`` and its line in ``data.yaml``.

    The format has no flags: boxes that are ignored are left out.

    Args:
        annotations: The images and boxes; ``names`` are the classes of all splits.
        root: The folder, in which other splits may be.
        split: Name of the split.

    Returns:
        What the format cannot hold.
    """
    tally = Tally()
    names = {name: label for label, name in enumerate(annotations.names)}
    images = new_folder(root / "images" / split)
    labels = new_folder(root / "labels" / split)
    for record, path in copy_images(annotations.records, images, tally, keep_orientation=False):
        kept = objects_to_write(record, tally, flags=(), areas=False)
        lines = (f"{names[item.name]} {_fractions(item, record)}\n" for item in kept)
        (labels / f"{path.stem}.txt").write_text("".join(lines), encoding="utf-8")
    file = root / "data.yaml"
    content = parse_yaml(file.read_text(encoding="utf-8")) if file.is_file() else {}
    content = {key: value for key, value in content.items() if key != "names"}
    content[split] = f"images/{split}"
    content["names"] = dict(enumerate(annotations.names))
    file.write_text(dump_yaml(content), encoding="utf-8")
    return tally


def _fractions(item: AnnotatedObject, record: Record) -> str:
    boxes = torch.tensor(item.box, dtype=torch.float64)
    boxes_cxcywh = box_ops.to_centre(box_ops.scale(boxes, record.size, (1, 1)))
    return " ".join(f"{value:.10g}" for value in boxes_cxcywh.tolist())
