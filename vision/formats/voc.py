"""PASCAL VOC's format: one XML file for each image, and a list of image names for each split."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from vision.choices import CONFIGS
from vision.errors import DataError
from vision.files import expand_home
from vision.formats.paths import Files, find_below, full, nfc, path_tails, read_lines
from vision.formats.records import AnnotatedObject, Annotations, Fault, Record, Tally
from vision.formats.voc_xml import parse_xml, read_object, replace_commas, stated_size
from vision.formats.written import copy_images, objects_to_write
from vision.images import IMAGE_SUFFIXES, OTHER_IMAGE_SUFFIXES

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
        split: Name of the list there, with or without ``.txt``. With ``.txt``, it may also be the
            path of another file, or one of the package's lists.
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
    used = set[Path]()
    for xml_file in _xml_files(xml_files, split_file):
        with result.collecting("invalid annotation", xml_file):
            element = parse_xml(xml_file)
            if replace_commas(element):
                message = f"annotation {xml_file} has decimal commas; write decimal points"
                result.faults.append(Fault("decimal comma", str(xml_file), message))
            name = xml_file.relative_to(xml_files.folder).with_suffix("").as_posix()
            image_file = _image_file(image_files, name, xml_file, element)
            used.add(image_file)
            items = element.findall("object")
            objects = [read_object(item, xml_file, result.tally) for item in items]
            result.add_image(image_file, stated_size(element), objects)
    is_theirs = image_folder in {xml_files.folder, xml_files.folder.parent / image_folder.name}
    for path in image_files.by_name.values() if split is None and is_theirs else ():
        if path not in used:
            result.tally.note("images without an XML file left out", path)
    result.names = sorted({name for record in result.records for name in record.names})
    return result


def _split_file(root: str, split: str) -> Path:
    folder = expand_home(root) / "ImageSets" / "Main"
    name = f"{split.removesuffix('.txt')}.txt"
    own = [expand_home(split), CONFIGS / "splits" / split] if split == name else []
    for file in (folder / name, *own):
        if file.is_file():
            return file
    splits = sorted(path.stem for path in folder.glob("*.txt")) if folder.is_dir() else []
    existing = f": {', '.join(splits)}" if splits else ""
    raise DataError(
        f"VOC root {full(root)} has no ImageSets/Main/{name}; pass the folder that holds"
        f" JPEGImages/, and name one of its splits{existing}"
    )


def _folder(root: str | None, name: str) -> Path:
    folder = find_below(root, name)
    if folder is None or not folder.is_dir():
        where = "VOC data: there is" if root is None else f"VOC root {full(root)} has"
        raise DataError(f"{where} no folder {name if root else full(name)}")
    return folder


def _xml_files(files: Files, split_file: Path | None) -> list[Path]:
    """The annotation files that a split lists; without a split, all in the folder."""
    if split_file is not None:
        found = [_xml_file(files, line, split_file) for line in read_lines(split_file)]
    else:
        found = list(files.by_name.values())
    if not found:
        empty = f"{full(files.folder)} has no XML files"
        raise DataError(f"{split_file} lists no images" if split_file else empty)
    return found


def _xml_file(files: Files, line: str, split_file: Path) -> Path:
    """The annotation file that a line of a split names.

    A line may also have an image suffix, or the -1, 0 or 1 of VOC's lists for one class.
    """
    labelled = _LABELLED_LINE.match(line)
    for name in (line, labelled.group(1) if labelled else line):
        for form in (name, os.path.splitext(name)[0]):  # noqa: PTH122 - accepts "."
            path = files.find(f"{form}.xml")
            if path is not None:
                return path
    path = files.locate(f"{line}.xml", split_file)
    raise DataError(f"{split_file} names {line}, but {path} does not exist")


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
        raise DataError(f"annotation {xml_file} matches several images: {names}; keep one of them")
    found = next((path for text in texts if text and (path := images.find(text))), None)
    if found is None:
        raise DataError(
            f"annotation {xml_file} has no image named {xml_file.stem} in the image folder"
            f" {full(images.folder)}; add the image, or remove the annotation"
        )
    return found


def write_voc(annotations: Annotations, root: Path, split: str) -> Tally:
    """Write a split into ``JPEGImages/``, ``Annotations/`` and ``ImageSets/Main/``.

    Boxes that are at most one pixel wide or high look like accidental clicks and are left out.

    Args:
        annotations: The images and boxes.
        root: The folder to write, which may already hold other splits.
        split: Name of the split.

    Returns:
        Tally of what the format cannot hold.
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
