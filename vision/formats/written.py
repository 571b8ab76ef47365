"""Shared by the writers of formats: copying images under unique names, and selecting objects."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import cv2

from vision.errors import DataError
from vision.files import read_bytes
from vision.formats.records import AnnotatedObject, Record, Tally
from vision.image_info import image_size


def new_folder(path: Path) -> Path:
    """Create a folder, which must not exist, and return it."""
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise DataError(f"folder {path} cannot be created: {error.strerror}") from error
    return path


def copy_images(
    records: Sequence[Record],
    folder: Path,
    tally: Tally,
    *,
    keep_orientation: bool = True,
    dots: bool = True,
) -> Iterator[tuple[Record, Path]]:
    """Copy the images of records to a folder; an image whose name is taken is renamed.

    Args:
        records: The images; those without a file are written as PNG.
        folder: The folder to write to.
        tally: Counts the images that were renamed.
        keep_orientation: Whether the format states image sizes, so that an image whose boxes
            refer to the picture without its EXIF orientation can be copied unchanged.
        dots: Whether names may have dots besides the suffix's; otherwise these become ``_``.

    Yields:
        Each record and the path of its copy.
    """
    used = {path.stem.casefold() for path in folder.iterdir()}  # VOC's splits share a folder
    for record in records:
        name, source = Path(record.image_id), record.file
        stem = record.image_id.replace(" ", "_") if source is None else name.stem
        stem = stem if dots else stem.replace(".", "_")
        unique, number = stem, 1
        while unique.casefold() in used:
            number += 1
            unique = f"{stem}_{number}"
        used.add(unique.casefold())
        if unique != stem:
            tally.note("images renamed because another image has the same name", name)
        if source is not None and (keep_orientation or image_size(source) == record.size):
            path = folder / f"{unique}{name.suffix}"
            path.write_bytes(read_bytes(source))
        else:
            path = folder / f"{unique}.png"
            path.write_bytes(cv2.imencode(".png", record.load()[..., ::-1])[1].tobytes())
        yield record, path


def objects_to_write(
    record: Record, tally: Tally, flags: Collection[str], *, areas: bool
) -> list[AnnotatedObject]:
    """The objects of a record that a format can hold.

    Args:
        record: The image and its objects.
        tally: Counts what is lost.
        flags: The flags that the format has for boxes: ``ignore``, ``crowd``.
        areas: Whether the format states areas.
    """
    objects = []
    columns = zip(
        record.names,
        record.boxes.tolist(),
        record.ignore.tolist(),
        record.crowd.tolist(),
        record.areas.tolist(),
        strict=True,
    )
    for name, (x0, y0, x1, y1), ignore, crowd, area in columns:
        if ignore and "ignore" not in flags:
            tally.note("ignored boxes (difficult or crowds) left out", record.image_id)
            continue
        if crowd and "crowd" not in flags:
            tally.note("crowds written as difficult boxes", record.image_id)
        if not areas and abs(area - (x1 - x0) * (y1 - y0)) > 1e-3 * area:
            tally.note("areas of masks left out", record.image_id)
        objects.append(AnnotatedObject(name, (x0, y0, x1, y1), ignore, crowd, area))
    return objects
