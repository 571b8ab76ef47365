"""Writing reports, and the photographs for them, from data or from files of detections."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from vision.atomic import replacing
from vision.data import DetectionDataset
from vision.errors import DataError
from vision.formats.coco_instances import load_instances
from vision.formats.paths import Files
from vision.images import IMAGE_SUFFIXES, read_image
from vision.metrics.analysis import Analysis
from vision.report.commands import Commands, commands_for
from vision.report.gallery import Photo
from vision.report.page import render_report
from vision.structures import Target

REPORT = "report.html"
"""File name of the page."""


def write_report(
    path: Path,
    analysis: Analysis,
    title: str,
    photos: Sequence[Photo] | None,
    commands: Commands,
) -> None:
    """Render and write a report; the arguments are those of `vision.report.page.render_report`.

    Raises:
        DataError: If the page cannot be written.
    """
    write_page(path, render_report(analysis, title, photos, commands))


def write_page(path: Path, page: str) -> None:
    """Write the HTML text of a page to a file.

    Raises:
        DataError: If the file cannot be written.
    """
    try:
        with replacing(path) as partial_path:
            partial_path.write_text(page, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error


def write_run_report(analysis: Analysis, dataset: DetectionDataset, folder: Path) -> Commands:
    """Write the report of a run's best weights into its folder; return the commands in it."""
    size = dataset.image_size
    assert isinstance(size, tuple)
    commands = commands_for(str(folder), (), folder, size)
    write_report(folder / REPORT, analysis, f"{folder} on val", photos_of(dataset), commands)
    return commands


def photos_of(dataset: DetectionDataset) -> list[Photo]:
    """The images of a data set, with the labelled boxes of the evaluated classes."""
    return [
        Photo(Path(record.image_id).name, record.load, target.boxes.tolist())
        for record, target in zip(dataset.records, dataset.targets, strict=True)
    ]


def photos_in(folder: Path, annotations: Path, targets: Sequence[Target]) -> list[Photo]:
    """Locate the images that a COCO instances file names, in the order of the targets.

    Args:
        folder: The folder of the images.
        annotations: The instances file.
        targets: The ground truth that `vision.metrics.files.read_coco_results` read from it.

    Raises:
        DataError: If the folder does not exist, or the file does not name the images.
    """
    if not folder.is_dir():
        raise DataError(f"--images {folder} is not a folder; name the folder that holds the images")
    files = Files(folder, IMAGE_SUFFIXES)
    photos = []
    for image, target in zip(load_instances(annotations).images, targets, strict=True):
        name = image.get("file_name")
        if not isinstance(name, str):
            raise DataError(
                f"{annotations}: image {image['id']} has no file_name; leave --images out"
            )
        size = target.size if min(target.size) > 0 else None
        read = partial(read_image, files.locate(name, annotations), size)
        photos.append(Photo(Path(name).name, read, target.boxes.tolist()))
    return photos
