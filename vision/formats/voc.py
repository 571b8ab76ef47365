"""PASCAL VOC's format: one XML file for each image, and a list of image names for each split."""

import re
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse

from vision.choices import CONFIGS
from vision.errors import DataError
from vision.formats.records import AnnotatedObject, Annotations
from vision.images import IMAGE_SUFFIXES

_LABELLED_LINE = re.compile(r"^(.*\S)\s+(?:-1|0|1)$")


def read_voc(
    root: str | None = None,
    split: str | None = None,
    annotations: str | None = None,
    images: str | None = None,
) -> Annotations:
    """Read one split of ``root``, or all XML files of the folder that ``annotations`` names.

    Coordinates are 1-based and inclusive in the files: ``x0 = xmin - 1``, ``x1 = xmax``. Class
    names are not changed. ``difficult`` objects are kept as ignored; a missing tag means 0.

    Args:
        root: Folder that holds ``ImageSets/Main/``.
        split: Name of the list there, without ``.txt``; or, with it, a file elsewhere or one of the
            lists in the package.
        annotations: Folder of the XML files, if not ``Annotations``; below ``root``, or a path.
        images: Folder of the images, if not ``JPEGImages``; below ``root``, or a path.

    Raises:
        DataError: If a file or folder is missing or invalid.
    """
    if None in (root, split) and not (annotations and images and split is None):
        raise DataError("VOC data: give root and split, or annotations and images without a split")
    split_file = None if split is None else _split_file(root or "", split)
    xml_folder = _folder(root, annotations or "Annotations")
    image_files = _by_stem(_folder(root, images or "JPEGImages"))
    result = Annotations()
    for xml_file in _xml_files(xml_folder, split_file):
        with result.collecting("invalid annotation", xml_file):
            root_element = _parse(xml_file)
            image_file = _image_file(image_files, xml_file, root_element)
            objects = [_object(element, xml_file) for element in root_element.findall("object")]
            result.add_image(image_file, _size(root_element), objects)
    result.names = sorted({name for record in result.records for name in record.names})
    return result


def _split_file(root: str, split: str) -> Path:
    folder = Path(root, "ImageSets", "Main")
    name = f"{split.removesuffix('.txt')}.txt"
    files = [folder / name]
    if split == name:
        files += [Path(split), CONFIGS / "splits" / split]
    for file in files:
        if file.is_file():
            return file
    splits = sorted(path.stem for path in folder.glob("*.txt")) if folder.is_dir() else []
    existing = f": {', '.join(splits)}" if splits else ""
    raise DataError(
        f"VOC root {root} has no ImageSets/Main/{name}; pass the folder that holds JPEGImages/, and"
        f" one of its splits{existing}"
    )


def _lines(split_file: Path) -> list[str]:
    try:
        text = split_file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"split {split_file} cannot be read as UTF-8 text: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _folder(root: str | None, name: str) -> Path:
    """The folder ``name`` below ``root``, else relative to the working directory."""
    for folder in (Path(root or "", name), Path(name)):
        if folder.is_dir():
            return folder
    where = "VOC data: there is" if root is None else f"VOC root {root} has"
    raise DataError(f"{where} no folder {name}")


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    """The folder's images by file name without suffix."""
    by_stem: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            by_stem.setdefault(path.stem, []).append(path)
    return by_stem


def _xml_files(folder: Path, split_file: Path | None) -> list[Path]:
    """The annotation files that a split names; without a split, all in the folder not hidden."""
    if split_file is not None:
        files = [_xml_file(folder, line, split_file) for line in _lines(split_file)]
    else:
        files = sorted(path for path in folder.glob("*.xml") if not path.name.startswith("."))
    if not files:
        raise DataError(
            f"{split_file} names no image" if split_file else f"{folder} has no XML file"
        )
    return files


def _xml_file(folder: Path, line: str, split_file: Path) -> Path:
    """The annotation file that a line of a split names.

    Besides a bare name, a line may have an image suffix, or the -1, 0, 1 of VOC's class lists.
    """
    labelled = _LABELLED_LINE.match(line)
    for name in (line, Path(line).stem, labelled.group(1) if labelled else line):
        path = folder / f"{name}.xml"
        if path.is_file():
            return path
    raise DataError(f"{split_file} names {line}, but {folder / line}.xml does not exist")


def _parse(path: Path) -> Element:
    try:
        root = parse(path).getroot()
    except (ParseError, DefusedXmlException, OSError, ValueError, LookupError) as error:
        raise DataError(f"annotation {path} cannot be read as XML: {error}") from error
    if root is None:
        raise DataError(f"annotation {path} is empty")
    return root


def _image_file(images: dict[str, list[Path]], xml_file: Path, root: Element) -> Path:
    """The image with the annotation's stem; if there are several, the one ``filename`` names."""
    candidates = images.get(xml_file.stem, [])
    if len(candidates) == 1:
        return candidates[0]
    filename = (root.findtext("filename") or "").strip()
    named = [path for path in candidates if path.name == filename]
    if named:
        return named[0]
    if candidates:
        names = ", ".join(path.name for path in candidates)
        raise DataError(f"annotation {xml_file} fits several images: {names}; keep one of them")
    raise DataError(
        f"annotation {xml_file} has no image named {xml_file.stem} in the image folder; add it,"
        " or leave the annotation out"
    )


def _size(root: Element) -> tuple[int, int] | None:
    """(height, width) that the annotation states, None if it does not."""
    try:
        height = int(float(root.findtext("size/height") or 0))
        width = int(float(root.findtext("size/width") or 0))
    except (ValueError, OverflowError):
        return None
    return (height, width) if height > 0 and width > 0 else None


def _object(element: Element, path: Path) -> AnnotatedObject:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise DataError(f"annotation {path} has an object without a name")
    texts = [element.findtext(f"bndbox/{tag}") for tag in ("xmin", "ymin", "xmax", "ymax")]
    try:
        x_min, y_min, x_max, y_max = (float(text or "") for text in texts)
    except ValueError as error:
        raise DataError(
            f"annotation {path}: object {name} needs a bndbox of the numbers xmin, ymin, xmax,"
            f" ymax, found {texts}"
        ) from error
    difficult = (element.findtext("difficult") or "0").strip().lower() in {"1", "true"}
    # A box that begins and ends on one pixel is an accidental click. By the rule of inclusive
    # coordinates it would be one pixel wide; it keeps no area, so that it is dropped.
    first = 1 if x_min < x_max and y_min < y_max else 0
    return AnnotatedObject(name, (x_min - first, y_min - first, x_max, y_max), ignore=difficult)
