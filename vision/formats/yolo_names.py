"""The class names of data in YOLO's format: in ``data.yaml``, or in one of several lists."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import vision.formats.json_table as tables
from vision.errors import DataError
from vision.formats.folders import folders_in
from vision.formats.json_file import load_json
from vision.formats.paths import any_case, full, nfc, path_tails, read_lines


def class_names(folder: Path, description: dict[str, Any]) -> list[str] | None:
    """Class names by number, None if no file has them; raise DataError if a name occurs twice."""
    names = _class_names(folder, description)
    twice = [name for name, count in Counter(names or ()).items() if count > 1]
    if twice:
        raise DataError(f"YOLO data {full(folder)}: two classes are named {twice[0]}; rename one")
    return names


def _class_names(folder: Path, description: dict[str, Any]) -> list[str] | None:
    given = description.get("names")
    if isinstance(given, dict | list):
        pairs = given.items() if isinstance(given, dict) else enumerate(given)
        return _numbered(pairs, f"names of {full(folder)}")
    files = [folder / tail for tail in path_tails(given)] if isinstance(given, str) else []
    files += [folder / name for name in ("obj.names", "classes.txt")]
    files += [any_case(folder, inner) / "classes.txt" for inner in ("labels", "images")]
    found = [file for file in files if file.is_file()][:1] or _lists_inside(folder)
    lists = {file: [nfc(line) for line in read_lines(file)] for file in found}
    if lists:
        longest = max(lists, key=lambda file: len(lists[file]))
        for file, names in lists.items():
            if names != lists[longest][: len(names)]:
                both = f"{file} and {longest}"
                raise DataError(f"{both} list different classes; keep only the correct file")
        return lists[longest]
    notes = folder / "notes.json"
    if not notes.is_file() and isinstance(given, str):
        where = f"names of {full(folder)}"
        raise DataError(f"{where}: {given} is no file; list the class names in their order")
    if not notes.is_file():
        return None
    content = load_json(notes, dict, "an object with categories")
    rows = tables.check_rows(str(notes), content.get("categories"), ("id", "name"))
    return _numbered(((row["id"], row["name"]) for row in rows), str(notes))


def _lists_inside(folder: Path) -> list[Path]:
    """The lists of classes that LabelImg writes beside images, one or two folders below."""
    places = [inner for outer in folders_in(folder) for inner in (outer, *folders_in(outer))]
    return [file for place in places if (file := place / "classes.txt").is_file()]


def _numbered(pairs: Iterable[tuple[object, object]], where: str) -> list[str]:
    """The names in the order of their numbers, which must be 0, 1, ..."""
    rows = [{"number": str(number), "name": str(name)} for number, name in pairs]
    words = tables.names(where, rows, "name")
    names = {row["number"]: nfc(name) for row, name in zip(rows, words, strict=True)}
    missing = [str(number) for number in range(len(names)) if str(number) not in names]
    if missing:
        raise DataError(
            f"{where}: expected the numbers 0 to {len(names) - 1}, found no {missing[0]}"
        )
    return [names[str(number)] for number in range(len(names))]
