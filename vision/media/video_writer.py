"""Writing videos frame by frame."""

# h and w the height and width of a frame

import errno
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import final

import cv2
from jaxtyping import UInt8
from numpy import ndarray

from vision.atomic import replacing
from vision.errors import DataError
from vision.images import resize
from vision.media.connection import check_utf8


@final
class VideoWriter:
    """Writes RGB frames to an .mp4 file (MPEG-4), creating its folder.

    The file has a temporary name until `close`, so that it is complete when it appears. The first
    frame determines the size, and later frames are resized to it. MPEG-4 requires even sides: the
    last row or column of an odd side is written twice. Without a frame no file is written.

    Args:
        path: The file; an existing one is replaced.
        fps: Frames per second.

    Raises:
        DataError: If the suffix is not .mp4; from `write`, if the file cannot be opened; from
            `close`, if it could not be completed.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        self.path = Path(path)
        self.fps = fps
        self._size = (0, 0)
        self._writer: cv2.VideoWriter | None = None
        self._file = ExitStack()  # replaces the file at its end
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
        elif self._writer is not None:
            self._writer.release()
            self._file.__exit__(kind, error, traceback)

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
            DataError: If it cannot be read back, for example because the disk is full.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        try:
            with self._file:
                written = cv2.VideoCapture(str(self._partial))
                is_intact = written.isOpened()
                written.release()
                if not is_intact:
                    raise DataError(f"video {self.path} could not be finished; is the disk full?")
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> DataError:
        return DataError(f"video {self.path} cannot be written: {error.strerror or error}")

    def _open(self) -> cv2.VideoWriter:
        check_utf8(self.path)
        try:
            if self.path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            self._partial = self._file.enter_context(replacing(self.path, sync=False))
        except OSError as error:
            raise self._error(error) from error
        height, width = self._size
        even_wh = (width + width % 2, height + height % 2)
        code = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(self._partial), code, self.fps, even_wh)
        if not writer.isOpened():
            with self._file:
                raise DataError(
                    f"video {self.path} cannot be written: OpenCV cannot open it for"
                    f" {width} x {height} pixels at {self.fps:g} frames per second"
                )
        return writer
