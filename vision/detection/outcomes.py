"""What becomes of one image or frame: its entry and annotated picture, or an error."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import UInt8
from numpy import ndarray

from vision.detection.results import make_entry
from vision.detection.schema import Entry
from vision.detection.settings import Settings
from vision.draw import draw_detections
from vision.errors import DataError
from vision.image_info import num_frames
from vision.images import read_image
from vision.media import MediaInput, write_image
from vision.structures import Detections

logger = logging.getLogger(__name__)

Image = UInt8[ndarray, "_ _ 3"]

ANIMATED_SUFFIXES = frozenset({".gif", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one image, or its error."""

    entry: Entry | None = None
    picture: Image | None = None
    failure: DataError | None = None


def read_first(path: Path) -> Image:
    """The image, or the first one of an animation, which is said.

    Raises:
        DataError: If it cannot be read.
    """
    image = read_image(path)
    if path.suffix.lower() in ANIMATED_SUFFIXES and (count := num_frames(path)) > 1:
        logger.warning("%s: only the first of its %d frames is used", path, count)
    return image


def draw_and_write(
    settings: Settings,
    names: Sequence[str],
    source: MediaInput,
    image: Image,
    detections: Detections,
) -> Outcome:
    """The entry of an image; its annotated picture is written and shown as the settings say."""
    entry = make_entry(source.name, detections, names)
    if not settings.pictures and settings.show is None:
        return Outcome(entry)
    picture = draw_detections(image, detections, names)
    try:
        if settings.pictures:
            write_image(settings.out / source.relative, picture)
    except DataError as error:
        return Outcome(failure=error)
    return Outcome(entry, picture if settings.show is not None else None)
