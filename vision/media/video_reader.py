"""Reading videos frame by frame."""

# h and w the height and width of a frame

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, final

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from vision.errors import DataError
from vision.media.connection import TIMEOUT, Connection
from vision.rows import describe_counts

_DEFAULT_RATE = 25.0
_MAX_RATE = 1000.0
_UNREADABLE = (
    "it is missing, empty, damaged or in a codec that OpenCV does not support; converting it to"
    " H.264 in .mp4 may help"
)
_STREAM_AWAY = (
    "it does not answer or sends no frame; check that it is on, its address and password, and that"
    " no other program uses it"
)


class Frame(NamedTuple):
    """A frame of a video.

    Attributes:
        image: The RGB image.
        seconds: Its time as the file states it, in a stream relative to the first frame. If no time
            is stated, or it is not later than the previous frame's, as after a reconnection, one
            frame's duration is added to the previous time.
    """

    image: UInt8[ndarray, "h w 3"]
    seconds: float


@final
class VideoReader:
    """Iterable over the RGB frames of a video, to be used in a ``with`` statement.

    A new iteration continues where the last one stopped. If the size changes within the video, some
    of OpenCV's backends, among them FFmpeg, resize all frames to the size of the first.

    Args:
        source: A file, a URL such as ``rtsp://...``, or the number of a camera.
        stride: Every n-th frame is decoded, from the first on.
        reconnect: Seconds for which reopening a stream that has ended is tried; 0 for never.

    Attributes:
        fps: Frames per second; 25 if the file does not state it.
        size: (height, width) of the first frame.
        num_frames: Number of frames according to the file's header; None if it states none.
        num_read: Number of frames read so far, including those that ``stride`` leaves out.
        stopped: Event that another thread sets to end the wait for a stream that is away.

    Raises:
        DataError: If the video does not exist, its frames have too many pixels, or OpenCV cannot
            read a frame of it.
    """

    def __init__(self, source: str | Path | int, stride: int = 1, reconnect: float = 0.0) -> None:
        self._stride = stride
        self.num_read = 0
        self._start = 0.0
        self._capture = Connection(source, reconnect)
        self.stopped = self._capture.stopped
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.fps: float = rate if 0 < rate <= _MAX_RATE else _DEFAULT_RATE
        self._next_frame = self._decode(None)
        if self._next_frame is None:
            self.close()
            reason = _STREAM_AWAY if self._capture.is_stream else _UNREADABLE
            raise DataError(f"video {self._capture.name} cannot be read: {reason}")
        height, width = self._next_frame.image.shape[:2]
        self.size: tuple[int, int] = (height, width)
        self.num_frames: int | None = int(count) if math.isfinite(count) and count >= 1 else None

    def __iter__(self) -> Iterator[UInt8[ndarray, "h w 3"]]:
        return (frame.image for frame in self.frames())

    def frames(self) -> Iterator[Frame]:
        """Yield the frames with their times; otherwise like iterating over the reader itself."""
        while (frame := self._next_frame) is not None:
            is_open = all(self._skip() for _ in range(self._stride - 1))
            self._next_frame = self._decode(frame) if is_open else None
            yield frame

    def shortfall(self) -> str:
        """Describe, after the iteration, how many frames could be read; empty if nearly all.

        In some formats the header's count is an estimate: a difference of two frames or one
        percent is ignored.
        """
        expected = self.num_frames or 0
        if expected - self.num_read <= max(2, expected // 100):
            return ""
        return f"only {self.num_read} of its {expected} frames could be read"

    def how_it_ended(self) -> str:
        """Describe, after the iteration, how a stream ended."""
        count = self._capture.num_reconnections
        again = f" and {describe_counts({'reconnection': count})}" if count else ""
        what = f"sent nothing more for {TIMEOUT:g} s" if self._capture.is_silent else "ended"
        return f"{what} after {describe_counts({'frame': self.num_read})}{again}"

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

    def _decode(self, before: Frame | None) -> Frame | None:
        decoded, frame = self._capture.read()
        if not decoded or frame is None:
            return None
        self.num_read += 1
        image = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
        return Frame(image, self._seconds(before))

    def _seconds(self, before: Frame | None) -> float:
        """The time of the frame just read, always later than the frame ``before``."""
        stated = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not math.isfinite(stated):
            stated = 0.0
        if before is None:
            self._start = stated if self._capture.is_stream else 0.0
            return max(0.0, stated - self._start)
        seconds = stated - self._start
        if seconds <= before.seconds:
            seconds = before.seconds + self._stride / self.fps
            self._start = stated - seconds if self._capture.is_stream else 0.0
        return seconds
