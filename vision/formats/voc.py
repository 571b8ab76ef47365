"""PASCAL VOC's format: one XML file for each image, and a list of image names for each split."""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import (
    Element,
    ParseError,
    SubElement,
    TreeBuilder,
    indent,
    tostring,
)

import numpy as np
import torch
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

import vision.boxes as box_ops
from vision.choices import CONFIGS
from vision.errors import DataError
from vision.formats.paths import Files, find_below, full, nfc, path_tails, read_bytes, read_lines
from vision.formats.records import SWAPPED, AnnotatedObject, Annotations, Record, Tally
from vision.formats.written import copy_images, objects_to_write
from vision.image_file import IMAGE_SUFFIXES, OTHER_IMAGE_SUFFIXES

_DECLARED_ENCODING = re.compile(rb"^\s*<\?xml[^>]*encoding=[\"']([\w.:-]+)")
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
    xml_files = Files(_folder(root, annotations or "Annotations"), {".xml"})
    image_folder = _folder(root, images or "JPEGImages")
    image_files = Files(image_folder, IMAGE_SUFFIXES | OTHER_IMAGE_SUFFIXES)
    result = Annotations()
    for xml_file in _xml_files(xml_files, split_file):
        with result.collecting("invalid annotation", xml_file):
            element = _parse(xml_file)
            name = xml_file.relative_to(xml_files.folder).with_suffix("").as_posix()
            image_file = _image_file(image_files, name, xml_file, element)
            objects = [_object(item, xml_file, result.tally) for item in element.findall("object")]
            result.add_image(image_file, _size(element), objects)
    result.names = sorted({name for record in result.records for name in record.names})
    return result


def _split_file(root: str, split: str) -> Path:
    folder = Path(root).expanduser() / "ImageSets" / "Main"
    name = f"{split.removesuffix('.txt')}.txt"
    files = [folder / name]
    if split == name:
        files += [Path(split).expanduser(), CONFIGS / "splits" / split]
    for file in files:
        if file.is_file():
            return file
    splits = sorted(path.stem for path in folder.glob("*.txt")) if folder.is_dir() else []
    existing = f": {', '.join(splits)}" if splits else ""
    raise DataError(
        f"VOC root {full(root)} has no ImageSets/Main/{name}; pass the folder that holds"
        f" JPEGImages/, and one of its splits{existing}"
    )


def _folder(root: str | None, name: str) -> Path:
    folder = find_below(root, name)
    if folder is None or not folder.is_dir():
        where = "VOC data: there is" if root is None else f"VOC root {full(root)} has"
        raise DataError(f"{where} no folder {name if root else full(name)}")
    return folder


def _xml_files(files: Files, split_file: Path | None) -> list[Path]:
    """The annotation files that a split names; without a split, all of the folder."""
    if split_file is not None:
        found = [_xml_file(files, line, split_file) for line in read_lines(split_file)]
    else:
        found = list(files.by_name.values())
    if not found:
        raise DataError(
            f"{split_file} names no image"
            if split_file
            else f"{full(files.folder)} has no XML file"
        )
    return found


def _xml_file(files: Files, line: str, split_file: Path) -> Path:
    """The annotation file that a line of a split names.

    Besides a bare name, a line may have an image suffix, or the -1, 0, 1 of VOC's class lists.
    """
    labelled = _LABELLED_LINE.match(line)
    for name in (line, labelled.group(1) if labelled else line):
        for form in (name, str(Path(name).with_suffix(""))):
            path = files.find(f"{form}.xml")
            if path is not None:
                return path
    raise DataError(f"{split_file} names {line}, but {files.folder / line}.xml does not exist")


def _parse(path: Path) -> Element:
    """The root of an XML file in any encoding that Python knows; namespaces are left out."""
    try:
        data = read_bytes(path)
        try:
            root = _element(data)
        except (ValueError, LookupError):  # Expat has no encoding of several bytes but UTF.
            declared = _DECLARED_ENCODING.match(data)
            encoding = declared.group(1).decode() if declared else json.detect_encoding(data)
            if encoding.lower() in {"gb2312", "gbk"}:
                encoding = "gb18030"  # which has both, and what is often written as them
            root = _element(data.decode(encoding).encode(), "utf-8")
    except (ParseError, DefusedXmlException, OSError, ValueError, LookupError) as error:
        raise DataError(f"annotation {path} cannot be read as XML: {error}") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _element(data: bytes, encoding: str | None = None) -> Element:
    parser = DefusedXMLParser(target=TreeBuilder(), encoding=encoding)
    parser.feed(data)
    root: Element = parser.close()
    return root


def _image_file(images: Files, name: str, xml_file: Path, root: Element) -> Path:
    """The image with the annotation's stem, else the one that ``filename`` or ``path`` names.

    If there are several, ``filename`` decides.
    """
    tails = path_tails(name)
    candidates = next((images.by_stem[tail] for tail in tails if tail in images.by_stem), [])
    if len(candidates) == 1:
        return candidates[0]
    texts = [(root.findtext(tag) or "").strip() for tag in ("filename", "path")]
    named = [path for path in candidates if nfc(path.name) == nfc(texts[0])]
    if named:
        return named[0]
    if candidates:
        names = ", ".join(path.name for path in candidates)
        raise DataError(f"annotation {xml_file} fits several images: {names}; keep one of them")
    found = next((path for text in texts if text and (path := images.find(text))), None)
    if found is None:
        raise DataError(
            f"annotation {xml_file} has no image named {xml_file.stem} in the image folder"
            f" {full(images.folder)}; add it, or leave the annotation out"
        )
    return found


def _size(root: Element) -> tuple[int, int] | None:
    """(height, width) that the annotation states, None if it does not."""
    try:
        height = int(float(root.findtext("size/height") or 0))
        width = int(float(root.findtext("size/width") or 0))
    except (ValueError, OverflowError):
        return None
    return (height, width) if height > 0 and width > 0 else None


def _object(element: Element, path: Path, tally: Tally) -> AnnotatedObject:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise DataError(f"annotation {path} has an object without a name")
    difficult = (element.findtext("difficult") or "0").strip().lower() in {"1", "true"}
    if element.find("bndbox") is None and element.find("robndbox") is not None:
        tally.note("rotated boxes turned into their upright ones", path)
        return AnnotatedObject(name, _upright(element, name, path), ignore=difficult)
    texts = [element.findtext(f"bndbox/{tag}") for tag in ("xmin", "ymin", "xmax", "ymax")]
    polygon = element.find("polygon")
    if element.find("bndbox") is None and polygon is not None:
        tally.note("polygons turned into their boxes", path)
        corners = _polygon(polygon, name, path)
    else:
        expected = "a bndbox of the numbers xmin, ymin, xmax, ymax"
        corners = _numbers(texts, name, expected, path)
    x_min, y_min, x_max, y_max = corners
    if x_min > x_max or y_min > y_max:
        tally.note(SWAPPED, path)
        x_min, x_max, y_min, y_max = *sorted((x_min, x_max)), *sorted((y_min, y_max))
    # A box that begins and ends on one pixel is an accidental click. By the rule of inclusive
    # coordinates it would be one pixel wide; it keeps no area, so that it is dropped.
    first = 1 if x_min < x_max and y_min < y_max else 0
    return AnnotatedObject(name, (x_min - first, y_min - first, x_max, y_max), ignore=difficult)


def _numbers(texts: list[str | None], name: str, expected: str, path: Path) -> list[float]:
    try:
        return [float(text or "") for text in texts]
    except ValueError as error:
        raise DataError(
            f"annotation {path}: object {name} needs {expected}, found {texts}"
        ) from error


def _polygon(polygon: Element, name: str, path: Path) -> list[float]:
    """The corners around a polygon, whose points are ``x1``, ``y1``, ``x2``, ... or ``pt/x``."""
    elements = [element for element in polygon.iter() if re.fullmatch(r"[xy]\d*", element.tag)]
    columns = []
    for letter in "xy":
        texts = [element.text for element in elements if element.tag[0] == letter]
        expected = f"a polygon of numbers, each with its {letter}"
        columns.append(_numbers(texts or [None], name, expected, path))
    return [function(column) for function in (min, max) for column in columns]


def _upright(element: Element, name: str, path: Path) -> tuple[float, float, float, float]:
    """The upright box around a rotated one, as roLabelImg writes it: 0-based, in radians."""
    texts = [element.findtext(f"robndbox/{tag}") for tag in ("cx", "cy", "w", "h", "angle")]
    expected = "a robndbox of the numbers cx, cy, w, h, angle"
    x, y, width, height, angle = _numbers(texts, name, expected, path)
    if not math.isfinite(angle):
        raise DataError(f"annotation {path}: object {name} needs {expected}, found {texts}")
    turn = np.abs([[math.cos(angle), math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    sides = turn @ [width, height]
    boxes_cxcywh = torch.tensor([x, y, *sides], dtype=torch.float64)
    x0, y0, x1, y1 = box_ops.to_corners(boxes_cxcywh).tolist()
    return x0, y0, x1, y1


def write_voc(annotations: Annotations, root: Path, split: str) -> Tally:
    """Write a split into ``JPEGImages/``, ``Annotations/`` and ``ImageSets/Main/``.

    Boxes of a pixel or less cannot be told from an accidental click and are left out.

    Args:
        annotations: The images and boxes.
        root: The folder, in which other splits may be.
        split: Name of the split.

    Returns:
        What the format cannot hold.
    """
    tally = Tally()
    images, xml_files, lists = (
        root / name for name in ("JPEGImages", "Annotations", "ImageSets/Main")
    )
    for folder in (images, xml_files, lists):
        folder.mkdir(parents=True, exist_ok=True)
    stems = []
    for record, path in copy_images(annotations.records, images, tally):
        items = objects_to_write(record, tally, flags={"ignore"}, areas=False)
        element = _annotation(record, path, items, tally)
        (xml_files / f"{path.stem}.xml").write_bytes(tostring(element, encoding="utf-8"))
        stems.append(path.stem)
    (lists / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")
    used = {name for record in annotations.records for name in record.names}
    for name in annotations.names:
        if name not in used:
            tally.note("classes without a box left out", name)
    return tally


def _annotation(
    record: Record, path: Path, items: Sequence[AnnotatedObject], tally: Tally
) -> Element:
    root = Element("annotation")
    _add(root, filename=path.name)
    _add(SubElement(root, "size"), height=record.size[0], width=record.size[1], depth=3)
    for item in items:
        x0, y0, x1, y1 = item.box
        if min(x1 - x0, y1 - y0) <= 1:
            tally.note("boxes of a pixel or less left out", record.image_id)
            continue
        element = SubElement(root, "object")
        _add(element, name=item.name, difficult=int(item.ignore))
        _add(SubElement(element, "bndbox"), xmin=x0 + 1, ymin=y0 + 1, xmax=x1, ymax=y1)
    indent(root)
    return root


def _add(element: Element, **values: object) -> None:
    for tag, value in values.items():
        text = f"{value:.10g}" if isinstance(value, float) else str(value)
        SubElement(element, tag).text = text
