"""What to do with a folder in which no data set is recognised: advice for its error."""

import re
from itertools import islice
from pathlib import Path

from vision.errors import DataError
from vision.formats.folders import MAX_PROBED, files_in, folders_in, head_of
from vision.images import IMAGE_SUFFIXES

_DOCS = "; docs/data.md shows these layouts, and how to convert others to them with panlabel"
_TOOLS = (
    (
        {".xml"},
        re.compile(rb"<annotations>.*<(?:meta|image)\b", re.DOTALL),
        "CVAT's own XML; export from CVAT as COCO 1.0 with images instead",
    ),
    (
        {".json"},
        re.compile(rb"\A\s*\[\s*\{.*\"(?:rectangle|polygon)labels\"", re.DOTALL),
        "Label Studio's own JSON; export from Label Studio as COCO instead, with images",
    ),
    (
        {".json"},
        re.compile(rb"\A\s*\{.*\"shapes\"\s*:\s*\[", re.DOTALL),
        "LabelMe's JSON; docs/data.md says how to convert it with panlabel",
    ),
)
"""Formats of labelling tools that are not read: suffixes, the beginning of a file, the advice."""


def advice(folder: Path) -> str:
    """What to do about a folder without known annotations, for the end of a message."""
    places = [folder, *folders_in(folder)]
    for suffixes, pattern, said in _TOOLS:
        for file in islice((one for place in places for one in files_in(place, suffixes)), 100):
            if _matches(file, pattern):
                return f"; {file.name} is {said}"
    found = [file for place in places for file in files_in(place, {""})]
    if found and all(file.suffix.lower() in IMAGE_SUFFIXES for file in found[:MAX_PROBED]):
        return (
            "; draw boxes around the objects in a labelling tool, such as CVAT, Label Studio or"
            " LabelImg, and pass the folder that it exports"
        )
    return _DOCS


def _matches(file: Path, pattern: re.Pattern[bytes]) -> bool:
    try:
        return pattern.search(head_of(file)) is not None
    except DataError:
        return False
