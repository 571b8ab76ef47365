"""Reading and writing videos frame by frame."""

import contextlib
import errno
import math
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import final

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from vision.errors import DataError
from vision.images import resize

__all__ = ["VideoReader", "VideoWriter", "read_video"]

_USUAL_RATE = 25.0
_MAX_RATE = 1000.0


def read_video(source: str | Path | int, stride: int = 1) -> "VideoReader":
    """A video, to be iterated over inside a ``with``.

    Args:
        source: A file, a URL such as ``rtsp://...``, or the number of a camera.
        stride: Every n-th frame is decoded, from the first on.

    Raises:
        DataError: If it is missing or OpenCV cannot read a frame of it.
    """
    return VideoReader(source, stride)


def _utf8(path: str | Path) -> str:
    """A path as OpenCV takes it.

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
    """The frames of a video, RGB, from the first to the last; iterating goes on where it stopped.

    A frame is passed on in the size that it has, even where that changes on the way.

    Attributes:
        fps: Frames per second; 25 where the file does not say.
        size: (height, width) of the first frame.
        num_frames: How many frames the file's header announces; None where it does not say.
    """

    def __init__(self, source: str | Path | int, stride: int = 1) -> None:
        self._stride = stride
        self._num_read = 0
        self._capture = cv2.VideoCapture()
        if isinstance(source, int):
            self._capture.open(source)
        elif "://" in str(source) or Path(source).is_file():
            self._capture.open(_utf8(source))
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._ahead = self._decode()
        if self._ahead is None:
            self.close()
            raise DataError(
                f"video {source} cannot be read: it is missing, empty, damaged or in a coding that"
                " OpenCV does not know; converting it to H.264 in .mp4 may help"
            )
        height, width = self._ahead.shape[:2]
        self.size: tuple[int, int] = (height, width)
        self.fps: float = rate if 0 < rate <= _MAX_RATE else _USUAL_RATE
        self.num_frames: int | None = int(count) if math.isfinite(count) and count >= 1 else None

    def __iter__(self) -> Iterator[UInt8[ndarray, "h w 3"]]:
        while (frame := self._ahead) is not None:
            is_open = all(self._skip() for _ in range(self._stride - 1))
            self._ahead = self._decode() if is_open else None
            yield frame

    def shortfall(self) -> str:
        """What is missing, once all was iterated over; empty if next to nothing is.

        A header's count is an estimate in some formats: two frames or a hundredth do not matter.
        """
        announced = self.num_frames or 0
        if announced - self._num_read <= max(2, announced // 100):
            return ""
        return f"{self._num_read} of the {announced} frames that it announces could be read"

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; no frame follows."""
        self._ahead = None
        self._capture.release()

    def _skip(self) -> bool:
        grabbed = self._capture.grab()
        self._num_read += int(grabbed)
        return grabbed

    def _decode(self) -> UInt8[ndarray, "h w 3"] | None:
        decoded, frame = self._capture.read()
        self._num_read += int(decoded)
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8) if decoded else None


@final
class VideoWriter:
    """Writes RGB frames to an .mp4 file (MPEG-4), in a folder made if need be.

    The file appears when it is whole: until `close` it has another name beside. The first frame
    gives the size, and later ones are resized to it. MPEG-4 has even sides only:
    an odd one is written a pixel longer, the last row or column twice. Without a frame there is
    no file.

    Args:
        path: The file, written over if there is one.
        fps: Frames per second.

    Raises:
        DataError: If the suffix is not .mp4. Also from `write` if the file cannot be opened, and
            from `close` if it did not get whole.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        self.path = Path(path)
        self.fps = fps
        self._size = (0, 0)
        self._writer: cv2.VideoWriter | None = None
        self._partial = self.path.with_name(f".{uuid.uuid4().hex}.partial.mp4")
        if self.path.suffix.lower() != ".mp4":
            raise DataError(f"video {path} cannot be written: its suffix must be .mp4")

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._discard()

    def write(self, frame: UInt8[ndarray, "h w 3"]) -> None:
        """Add a frame.

        Raises:
            DataError: If it is the first and the file cannot be opened.
        """
        if self._writer is None:
            height, width = frame.shape[:2]
            self._size = (height, width)
            self._writer = self._open()
        frame = resize(frame, self._size)
        height, width = self._size
        bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        bgr = cv2.copyMakeBorder(bgr, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        self._writer.write(bgr)

    def close(self) -> None:
        """Finish the file.

        Raises:
            DataError: If it cannot be read back, as when the disk is full.
        """
        if self._writer is None:
            return
        self._writer.release()
        written = cv2.VideoCapture(str(self._partial))
        is_whole = written.isOpened()
        written.release()
        if not is_whole:
            self._discard()
            raise DataError(f"video {self.path} could not be finished; is the disk full?")
        self._writer = None
        try:
            self._partial.replace(self.path)
        except OSError as error:
            raise self._error(error) from error

    def _discard(self) -> None:
        """Remove what was written, where the video will not be finished."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None
            with contextlib.suppress(OSError):
                self._partial.unlink(missing_ok=True)

    def _error(self, error: OSError) -> DataError:
        return DataError(f"video {self.path} cannot be written: {error.strerror or error}")

    def _open(self) -> cv2.VideoWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _utf8(self.path)
            if self.path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        except OSError as error:
            raise self._error(error) from error
        height, width = self._size
        even_wh = (width + width % 2, height + height % 2)
        code = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(self._partial), code, self.fps, even_wh)
        if not writer.isOpened():
            self._partial.unlink(missing_ok=True)
            raise DataError(
                f"video {self.path} cannot be written: OpenCV cannot open it for"
                f" {width} x {height} pixels at {self.fps:g} frames per second"
            )
        return writer
