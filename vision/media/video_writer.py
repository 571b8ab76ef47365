"""Writing videos frame by frame."""

# h and w the height and width of a frame, H and W the same, rounded up to even numbers

import errno
import os
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import final

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from vision.atomic import replacing
from vision.errors import DataError
from vision.images import resize
from vision.media.connection import check_utf8
from vision.media.h264 import H264Encoder, has_h264


class _OpenCvEncoder:
    """Encoder of MPEG-4 with a constant frame rate, using OpenCV.

    Raises:
        ValueError: If OpenCV does not support the size or rate.
    """

    def __init__(self, path: Path, size_wh: tuple[int, int], fps: float) -> None:
        code = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(path), code, fps, size_wh)
        if not self._writer.isOpened():
            raise ValueError

    def write(self, frame: UInt8[ndarray, "H W 3"], seconds: float) -> None:  # noqa: ARG002
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        self._writer.release()


@final
class VideoWriter:
    """Writes RGB frames to an .mp4 file, creating its folder.

    With PyAV (the extra ``video``) the codec is H.264, and frames keep their times; without it,
    OpenCV writes MPEG-4 with a constant frame rate.

    The file has a temporary name until `close`, so that it is complete when it appears. H.264 can
    be played while it is written and after a kill, so that its temporary name is visible and starts
    like the file's; MPEG-4 cannot, and is hidden.

    The first frame determines the size, and later frames are resized to it. Both codecs require
    even sides: the last row or column of an odd side is written twice. No file is created if no
    frame is written.

    Args:
        path: The file; an existing one is replaced.
        fps: Frames per second.
        sound_of: With PyAV, a film whose sound is copied, if it has any.

    Raises:
        DataError: If the suffix is not .mp4; from `write`, if the file cannot be opened or
            written; from `close`, if it could not be completed.
    """

    def __init__(self, path: str | Path, fps: float, sound_of: Path | None = None) -> None:
        self.path = Path(path)
        self.fps = fps
        self._sound_of = sound_of
        self._size = (0, 0)
        self._start = self._seconds = 0.0
        self._encoder: H264Encoder | _OpenCvEncoder | None = None
        self._file = ExitStack()  # Its exit replaces the file.
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
        if error is None:
            self.close()
            return
        if self._encoder is not None:
            with suppress(OSError, ValueError):
                self._encoder.close()
        self._file.__exit__(kind, error, traceback)

    def write(self, frame: UInt8[ndarray, "h w 3"], seconds: float | None = None) -> None:
        """Add a frame.

        Args:
            frame: RGB.
            seconds: Time of the frame, in the film ``sound_of`` if there is one; H.264 keeps it
                relative to the first frame. By default, and if it is not later than the previous
                frame's time, one frame's duration is added to that.

        Raises:
            DataError: If the file cannot be opened or written.
        """
        try:
            if self._encoder is None:
                height, width = frame.shape[:2]
                self._size = (height, width)
                self._start = self._seconds = seconds or 0.0
                self._encoder = self._open()
            else:
                after = self._seconds + 1 / self.fps
                self._seconds = after if seconds is None or seconds <= self._seconds else seconds
            frame = resize(frame, self._size)
            height, width = self._size
            if height % 2 or width % 2:
                odd = (0, height % 2, 0, width % 2)
                frame = np.asarray(cv2.copyMakeBorder(frame, *odd, cv2.BORDER_REPLICATE), np.uint8)
            self._encoder.write(frame, self._seconds - self._start)
        except OSError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Finish the file.

        Raises:
            DataError: If the file cannot be read back, for example because the disk is full.
        """
        if self._encoder is None:
            return
        encoder, self._encoder = self._encoder, None
        try:
            with self._file:
                encoder.close()
                written = cv2.VideoCapture(str(self._partial))
                is_intact = written.isOpened()
                written.release()
                if not is_intact:
                    raise DataError(f"video {self.path} could not be finished; is the disk full?")
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> DataError:
        return DataError(f"video {self.path} cannot be written: {error.strerror or error}")

    def _open(self) -> H264Encoder | _OpenCvEncoder:
        check_utf8(self.path)
        if self.path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        is_h264 = has_h264()
        file = replacing(self.path, sync=False, visible=is_h264)
        self._partial = self._file.enter_context(file)
        height, width = self._size
        even_wh = (width + width % 2, height + height % 2)
        try:
            if is_h264:
                film = self._sound_of
                return H264Encoder(self._partial, even_wh, self.fps, film, self._start)
            return _OpenCvEncoder(self._partial, even_wh, self.fps)
        except ValueError as error:
            with self._file:
                raise DataError(
                    f"video {self.path} cannot be written: it cannot be opened for"
                    f" {width} x {height} pixels at {self.fps:g} frames per second"
                ) from error
