"""Parsing VOC's XML files in any encoding, and reading their objects and the image size."""

import json
import math
import re
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

import numpy as np
import torch
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

import vision.boxes as box_ops
from vision.errors import DataError
from vision.files import read_bytes
from vision.formats.records import SWAPPED, AnnotatedObject, Tally

MAX_XML_BYTES = 2**26
"""Maximum size of the annotation file of one image."""
_DECLARED_ENCODING = re.compile(rb"^\s*<\?xml[^>]*encoding=[\"']([\w.:-]+)")


def parse_xml(path: Path) -> Element:
    """The root of an XML file in any encoding that Python supports; namespaces are removed."""
    try:
        data = read_bytes(path, MAX_XML_BYTES)
        try:
            root = _element(data)
        except (ValueError, LookupError):  # Expat supports no multi-byte encodings except UTF.
            declared = _DECLARED_ENCODING.match(data)
            encoding = declared.group(1).decode() if declared else json.detect_encoding(data)
            if encoding.lower() in {"gb2312", "gbk"}:
                encoding = "gb18030"  # a superset, whose characters such files often contain
            root = _element(data.decode(encoding).encode(), "utf-8")
    except (ParseError, DefusedXmlException, OSError, ValueError, LookupError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"annotation {path} cannot be read as XML: {reason}") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _element(data: bytes, encoding: str | None = None) -> Element:
    parser = DefusedXMLParser(target=TreeBuilder(), encoding=encoding)
    parser.feed(data)
    root: Element = parser.close()
    return root


def replace_commas(root: Element) -> bool:
    """Replace decimal commas in boxes by points, and return whether there were any."""
    boxes = (box for box in root.iter() if box.tag in {"bndbox", "robndbox", "polygon"})
    found = [one for box in boxes for one in box.iter() if one.text and "," in one.text]
    for one in found:
        one.text = (one.text or "").replace(",", ".")
    return bool(found)


def stated_size(root: Element) -> tuple[int, int] | None:
    """(height, width) that the annotation states, None if it states no valid size."""
    try:
        height = int(float(root.findtext("size/height") or 0))
        width = int(float(root.findtext("size/width") or 0))
    except (ValueError, OverflowError):
        return None
    return (height, width) if height > 0 and width > 0 else None


def read_object(element: Element, path: Path, tally: Tally) -> AnnotatedObject:
    """Read an object; polygons, rotated boxes and swapped corners are counted in ``tally``.

    Raises:
        DataError: If the object has no name, or its box does not consist of numbers.
    """
    name = (element.findtext("name") or "").strip()
    if not name:
        raise DataError(f"annotation {path} has an object without a name; name or remove it")
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
    # A box that begins and ends on the same pixel is an accidental click. Inclusive coordinates
    # would make it one pixel wide; here it keeps an area of zero, so that it is dropped.
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
    """The box around a polygon, whose points are ``x1``, ``y1``, ``x2``, ... or ``pt/x``, ..."""
    elements = [element for element in polygon.iter() if re.fullmatch(r"[xy]\d*", element.tag)]
    columns = []
    for letter in "xy":
        texts = [element.text for element in elements if element.tag[0] == letter]
        expected = f"a polygon whose points have numbers as {letter}"
        columns.append(_numbers(texts or [None], name, expected, path))
    return [function(column) for function in (min, max) for column in columns]


def _upright(element: Element, name: str, path: Path) -> tuple[float, float, float, float]:
    """The upright box around a rotated box of roLabelImg: 0-based pixels, an angle in radians."""
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
