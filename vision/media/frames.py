"""Frames of all kinds of inputs: images, folders, films, streams and cameras."""

# h and w the height and width of a frame

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from jaxtyping import UInt8
from numpy import ndarray

from vision.errors import DataError
from vision.images import decode_image, read_image
from vision.media.inputs import MediaInput, find_inputs
from vision.media.remote import read_remote
from vision.media.video_reader import VideoReader

logger = logging.getLogger(__name__)


def read_frames(
    source: str | Path | int | Sequence[str | Path | int], stride: int = 1
) -> Iterator[UInt8[ndarray, "h w 3"]]:
    """Read images and frames of videos in order, RGB, each when it is needed.

    An input that cannot be read is logged and left out, or raises if it is the only one.

    Args:
        source: One or several inputs as for `find_inputs`; a camera by its number.
        stride: Every n-th frame of films and streams is read.

    Raises:
        DataError: Before the first frame, if an input does not exist; later, if the only input
            cannot be read.
    """
    many = [source] if isinstance(source, str | Path | int) else source
    inputs = find_inputs([str(each) for each in many], logger.warning)
    return _frames(inputs, stride)


def _frames(inputs: Sequence[MediaInput], stride: int) -> Iterator[UInt8[ndarray, "h w 3"]]:
    for each in inputs:
        try:
            if each.kind == "image" and isinstance(each.address, str):
                yield decode_image(read_remote(each.address), each.name)
            elif each.kind == "image":
                yield read_image(each.path)
            else:
                source = each.path if each.address is None else each.address
                with VideoReader(source, stride) as video:
                    yield from video
        except DataError as error:  # noqa: PERF203 - the others are read
            if len(inputs) == 1:
                raise
            logger.warning("%s", error)
