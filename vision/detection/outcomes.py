"""The results of one image or frame: its entry, files and annotated picture, or an error."""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from jaxtyping import UInt8
from numpy import ndarray

from vision.detection.counting import RegionCounter
from vision.detection.image_files import write_image_files
from vision.detection.results import make_entry
from vision.detection.schema import Entry
from vision.detection.settings import Settings
from vision.detections import Detections
from vision.draw import draw_detections
from vision.errors import DataError
from vision.image_info import num_frames
from vision.images import decode_image, read_image
from vision.media import MediaInput, read_remote, write_image

logger = logging.getLogger(__name__)

Image = UInt8[ndarray, "_ _ 3"]

ANIMATED_SUFFIXES = frozenset({".gif", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one image, or its error."""

    entry: Entry | None = None
    picture: Image | None = None
    failure: DataError | None = None


@dataclass(frozen=True, slots=True)
class FoundFrame:
    """A frame of a video with its detections.

    Attributes:
        image: The RGB image.
        number: The number of the frame in the video, from 0.
        seconds: The time of the frame.
        detections: The detections, in pixels of the frame.
        tracks: The track of each detection, None without one; None if the video is not tracked.
    """

    image: Image
    number: int
    seconds: float
    detections: Detections
    tracks: Sequence[int | None] | None = None


def read_first(source: MediaInput) -> Image:
    """Read an image; of an animation only the first frame, with a warning.

    Raises:
        DataError: If it cannot be read.
    """
    file: Path | io.BytesIO = source.path
    suffix = source.path.suffix
    if isinstance(source.address, str):
        suffix = PurePosixPath(urlsplit(source.address).path).suffix
        data = read_remote(source.address)
        image, file = decode_image(data, source.name), io.BytesIO(data)
    else:
        image = read_image(source.path)
    if suffix.lower() in ANIMATED_SUFFIXES and (count := num_frames(file)) > 1:
        logger.warning("%s: only the first of its %d frames is used", source.name, count)
    return image


def write_and_draw(
    settings: Settings,
    names: Sequence[str],
    source: MediaInput,
    image: Image,
    detections: Detections,
) -> Outcome:
    """Write the files of an image and draw it, as the settings say; return its entry or error."""
    entry = make_entry(source.name, detections, names)
    draws = settings.pictures or settings.show is not None
    picture = draw_detections(image, detections, names) if draws else None
    try:
        write_image_files(settings.folders, settings.out, source, image, detections, entry, names)
        if settings.pictures and picture is not None:
            write_image(settings.out / source.relative, picture)
    except DataError as error:
        return Outcome(failure=error)
    return Outcome(entry, picture if settings.show is not None else None)


def write_and_draw_frame(
    settings: Settings,
    names: Sequence[str],
    source: MediaInput,
    found: FoundFrame,
    counters: Sequence[RegionCounter] = (),
) -> Outcome:
    """Write the files of a frame; return its entry, and its picture if that is written or shown.

    Args:
        settings: What is written.
        names: Class names in label order.
        source: The video.
        found: The frame with its detections.
        counters: Counters of the tracks in lines and zones, which are drawn with their counts.

    Raises:
        DataError: If a file cannot be written.
    """
    detections, tracks = found.detections, found.tracks
    entry = make_entry(source.name, detections, names, found.number, found.seconds, tracks)
    if counters:
        entry["counts"] = {
            counter.region.text: counter.update(detections, tracks or (), names)
            for counter in counters
        }
    image, out = found.image, settings.out
    write_image_files(settings.folders, out, source, image, detections, entry, names)
    if not settings.pictures and settings.show is None:
        return Outcome(entry)
    image = image.copy() if counters else image
    for counter in counters:
        counter.draw_outline(image)
    picture = draw_detections(image, detections, names, tracks)
    for counter in counters:
        counter.draw_counts(picture)
    return Outcome(entry, picture)
