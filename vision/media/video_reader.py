"""Reading videos frame by frame."""

# h and w the height and width of a frame

import math
from collections.abc import Iterator
from pathlib import Path
from typing import final

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from vision.errors import DataError
from vision.images import MAX_PIXELS
from vision.urls import mask_url

_DEFAULT_RATE = 25.0
_MAX_RATE = 1000.0


def check_utf8(path: str | Path) -> str:
    """The path as OpenCV takes it.

    Raises:
        DataError: If it is not UTF-8, at which OpenCV crashes.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"video {path} has a name that is not UTF-8; rename it") from error
    return str(path)


@final
class VideoReader:
    """The frames of a video, RGB, to be iterated over inside a ``with``.

    Iterating again continues where iterating stopped. Frames keep their own size, even where it
    changes within the video.

    Args:
        source: A file, a URL such as ``rtsp://...``, or the number of a camera.
        stride: Every n-th frame is decoded, from the first on.

    Attributes:
        fps: Frames per second; 25 where the file does not state it.
        size: (height, width) of the first frame.
        num_frames: Number of frames in the file's header; None where it does not state it.
        num_read: Number of frames read so far, with those that ``stride`` leaves out.

    Raises:
        DataError: If the video does not exist, its frames have too many pixels, or OpenCV cannot
            read a frame of it.
    """

    def __init__(self, source: str | Path | int, stride: int = 1) -> None:
        self._stride = stride
        self.num_read = 0
        self._capture = cv2.VideoCapture()
        if isinstance(source, int):
            self._capture.open(source)
        elif "://" in str(source) or Path(source).is_file():
            self._capture.open(check_utf8(source))
        width = self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)
        height = self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if width * height > MAX_PIXELS:
            self._capture.release()
            raise DataError(
                f"video {source} has frames of {width:.0f} x {height:.0f} pixels, more than the"
                f" {MAX_PIXELS:,} that are read; make it smaller"
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._next_frame = self._decode()
        if self._next_frame is None:
            self.close()
            name = mask_url(source) if isinstance(source, str) and "://" in source else source
            raise DataError(
                f"video {name} cannot be read: it is missing, empty, damaged or in a codec that"
                " OpenCV does not support; converting it to H.264 in .mp4 may help"
            )
        height, width = self._next_frame.shape[:2]
        self.size: tuple[int, int] = (height, width)
        self.fps: float = rate if 0 < rate <= _MAX_RATE else _DEFAULT_RATE
        self.num_frames: int | None = int(count) if math.isfinite(count) and count >= 1 else None

    def __iter__(self) -> Iterator[UInt8[ndarray, "h w 3"]]:
        while (frame := self._next_frame) is not None:
            is_open = all(self._skip() for _ in range(self._stride - 1))
            self._next_frame = self._decode() if is_open else None
            yield frame

    def shortfall(self) -> str:
        """How many frames could not be read, once iteration has ended; empty if nearly none.

        In some formats the header's count is an estimate: a difference of two frames or one
        percent is ignored.
        """
        expected = self.num_frames or 0
        if expected - self.num_read <= max(2, expected // 100):
            return ""
        return f"only {self.num_read} of its {expected} frames could be read"

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; iteration ends."""
        self._next_frame = None
        self._capture.release()

    def _skip(self) -> bool:
        grabbed = self._capture.grab()
        self.num_read += int(grabbed)
        return grabbed

    def _decode(self) -> UInt8[ndarray, "h w 3"] | None:
        decoded, frame = self._capture.read()
        self.num_read += int(decoded)
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8) if decoded else None
