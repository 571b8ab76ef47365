"""Image and category ids of COCO results: chosen, or those of an instances file."""

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
        annotations: A COCO instances file whose ids are used, by class name and by the end of the
            path that an image has in common with one of the file's. Without it, an image's id is
            its file name without suffix, as a number where it is one, and categories are numbered
            from 1 in label order.
        found: The classes that can be found, if not all; the file has to have these alone.

    Raises:
        DataError: If the file cannot be used or lacks a class.
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
                f"{annotations} has no category named {', '.join(missing)}; take another file, or"
                " name the classes to keep with --classes"
            )

    def check(self, inputs: Iterable[tuple[str, bool]]) -> None:
        """Check that the inputs have different ids: images, and the first frames of videos.

        Args:
            inputs: The name of each, and whether it is an image.

        Raises:
            DataError: If two have the same, or the annotations do not say which image one is.
        """
        seen: dict[Id, str] = {}
        for name, is_image in inputs:
            number = self.image(name, None if is_image else 0)
            if number in seen:
                what = "images" if is_image else "videos"
                raise DataError(
                    f"{what} {seen[number]} and {name} have the same COCO id {number}; rename"
                    " one, name another --out for it, or leave coco out of --save"
                )
            seen[number] = name

    def image(self, name: str, frame: int | None = None) -> Id:
        """The id of an image, or of a frame of a video.

        Raises:
            DataError: If the annotations do not list it, or list several that it may be.
        """
        path = Path(name)
        if self._file is not None:
            return self._annotated(path)
        if frame is not None:
            return f"{path.stem}:{frame}"
        return int(path.stem) if path.stem.isascii() and path.stem.isdecimal() else path.stem

    def _annotated(self, path: Path) -> Id:
        """The id of the listed image whose path has the longest end in common with this one."""
        tail = next((one for one in path_tails(path.as_posix()) if one in self._images), None)
        if tail is None:
            raise DataError(f"image {path} is not among the images of {self._file}")
        listed = self._images[tail]
        if listed[1:]:  # one that is listed without further folders goes before the others
            listed = [image for image in listed if image.name == tail] or listed
        if listed[1:]:
            raise DataError(
                f"{self._file} has {len(listed)} images that {path} may be ({listed[0].name} with"
                f" the id {listed[0].id}, {listed[1].name} with {listed[1].id}); name the images by"
                " more of their folders, or leave coco out of --save"
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
    """The images of an instances file, by names with slashes; ids of its categories by name."""
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
    """The text of ``key`` and the id of each row, which must be of different ids."""
    rows = tables.check_rows(where, content, ("id", key))
    tables.check_unique(where, rows, "id", int, str, shown=key)
    names = tables.texts(where, rows, key)
    return [(name, whole(row["id"])) for name, row in zip(names, rows, strict=True)]
