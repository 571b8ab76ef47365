"""Image and category ids of COCO results: generated, or taken from an instances file."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import vision.formats.json_table as tables
from vision.detection.schema import Category
from vision.errors import DataError
from vision.formats.json_file import load_json
from vision.formats.json_values import whole
from vision.formats.paths import nfc, path_tails

Id = int | str
FORM = "an object with images and categories (COCO instances)"


class _Listed(NamedTuple):
    """An image of an instances file."""

    id: Id
    name: str


class CocoIds:
    """Image and category ids of COCO results.

    Args:
        names: Class names in label order.
        annotations: A COCO instances file whose ids are used: categories are matched by name, and
            images by the longest common end of their paths. By default, the id of an image is its
            file name without suffix, as an integer if that is all digits, and categories are
            numbered from 1 in label order.
        found: Classes that can be detected, all by default; the file may lack any other.

    Raises:
        DataError: If the file cannot be read, is invalid or lacks one of these classes.
    """

    def __init__(
        self,
        names: Sequence[str],
        annotations: Path | None = None,
        found: Collection[str] | None = None,
    ) -> None:
        self._file, self._names = annotations, list(names)
        self._images: defaultdict[str, list[_Listed]] = defaultdict(list)
        self._categories: dict[str, Id] = {name: number for number, name in enumerate(names, 1)}
        if annotations is None:
            return
        images, self._categories = _read_ids(annotations)
        for image in images:
            for tail in path_tails(image.name):
                self._images[tail].append(image)
        missing = [name for name in (found or names) if name not in self._categories]
        if missing:
            raise DataError(
                f"{annotations} has no category named {', '.join(missing)}; use another file, or"
                " name the classes to keep with --classes"
            )

    def check(self, inputs: Iterable[tuple[str, bool]]) -> None:
        """Check that all inputs have different ids; for a video, its first frame is checked.

        Args:
            inputs: For each input its name, and whether it is an image.

        Raises:
            DataError: If two inputs have the same id, or the annotations do not identify one.
        """
        seen: dict[Id, str] = {}
        for name, is_image in inputs:
            number = self.image(name, None if is_image else 0)
            if number in seen:
                what = "images" if is_image else "videos"
                raise DataError(
                    f"{what} {seen[number]} and {name} have the same COCO id {number}; rename"
                    " one, run it with another --out, or leave coco out of --save"
                )
            seen[number] = name

    def image(self, name: str, frame: int | None = None) -> Id:
        """The id of an image, or of a frame of a video.

        Raises:
            DataError: If the annotations do not list the image, or list several that match it.
        """
        path = Path(name)
        if self._file is not None:
            return self._annotated(path)
        if frame is not None:
            return f"{path.stem}:{frame}"
        return int(path.stem) if path.stem.isascii() and path.stem.isdecimal() else path.stem

    def _annotated(self, path: Path) -> Id:
        """The id of the listed image whose path shares the longest end with ``path``."""
        tail = next((one for one in path_tails(path.as_posix()) if one in self._images), None)
        if tail is None:
            raise DataError(f"image {path} is not among the images of {self._file}")
        listed = self._images[tail]
        if listed[1:]:  # Prefer an image whose complete listed path matches.
            listed = [image for image in listed if image.name == tail] or listed
        if listed[1:]:
            raise DataError(
                f"{self._file} has {len(listed)} images that match {path} ({listed[0].name} with"
                f" the id {listed[0].id}, {listed[1].name} with {listed[1].id}); pass paths with"
                " more of the parent folders, or leave coco out of --save"
            )
        return listed[0].id

    def category(self, label: str) -> Id:
        """The id of a class."""
        return self._categories[label]

    def categories(self) -> list[Category]:
        """The classes of the detector that have an id, in label order."""
        return [
            {"id": self._categories[name], "name": name}
            for name in self._names
            if name in self._categories
        ]


def _read_ids(file: Path) -> tuple[list[_Listed], dict[str, Id]]:
    """Read the images of an instances file, with forward slashes, and its category ids by name."""
    content = load_json(file, dict, FORM)
    tables.check_rows(str(file), [content], ("images", "categories"))
    images = _named_rows(f"{file}: images", content["images"], "file_name")
    categories = _named_rows(f"{file}: categories", content["categories"], "name")
    tables.check_unique(f"{file}: categories", content["categories"], "name", str, shown="id")
    return (
        [_Listed(number, nfc(name.replace("\\", "/"))) for name, number in images],
        {nfc(name): number for name, number in categories},
    )


def _named_rows(where: str, content: object, key: str) -> list[tuple[str, Id]]:
    """Return the text at ``key`` and the id of each row; all ids must be different."""
    rows = tables.check_rows(where, content, ("id", key))
    tables.check_unique(where, rows, "id", int, str, shown=key)
    names = tables.texts(where, rows, key)
    return [(name, whole(row["id"])) for name, row in zip(names, rows, strict=True)]
