"""Video files, streams and cameras opened with OpenCV; streams are reopened on request."""

# h and w the height and width of a frame

import logging
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import final

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from vision.errors import DataError
from vision.images import MAX_PIXELS
from vision.urls import mask_url

logger = logging.getLogger(__name__)

TIMEOUT = 10.0
"""Seconds after which a stream that sends no frame, or does not answer, counts as ended."""
_DELAYS = (1.0, 30.0)
"""Seconds before the first try to reopen a stream, and the maximum; each further try doubles the
delay."""
_SAID_EVERY = 60.0
"""Minimum number of seconds between two warnings about a stream that is away."""


def check_utf8(path: str | Path) -> str:
    """Return the path as text for OpenCV.

    Raises:
        DataError: If it is not UTF-8, on which OpenCV would crash.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"video {path} has a name that is not UTF-8; rename it") from error
    return str(path)


@final
class Connection:
    """An open video, with the methods of OpenCV's ``VideoCapture``.

    Args:
        source: A file, a URL, or the number of a camera.
        reconnect: Seconds for which reopening is tried after a stream has ended, or sent nothing
            for `TIMEOUT`; 0 for never.

    Attributes:
        name: The source without its secrets.
        is_stream: Whether the source is a URL or a camera rather than a file.
        stopped: Event that another thread sets when it needs no more frames; it ends a wait.
        is_silent: Whether the last read failed because a stream sent nothing for `TIMEOUT`.
        num_reconnections: How many times the stream has been reopened.

    Raises:
        DataError: If the frames have too many pixels.
    """

    def __init__(self, source: str | Path | int, reconnect: float = 0.0) -> None:
        self._source = source
        self.is_stream = isinstance(source, int) or "://" in str(source)
        self._reconnect_for = reconnect if self.is_stream else 0.0
        self.name = mask_url(str(source)) if self.is_stream else str(source)
        self.stopped = threading.Event()
        self.is_silent = False
        self.num_reconnections = 0
        self._capture = cv2.VideoCapture()
        self._waited = 0.0
        self._delay = _DELAYS[0]
        self._last_frame = time.monotonic()
        self._last_said = -math.inf
        if not self._open():
            self._reconnect()

    def get(self, what: int) -> float:
        """A property of the video; 0 if it is unknown."""
        return float(self._capture.get(what))

    def grab(self) -> bool:
        """Take the next frame without decoding it; return False at the end."""
        return self._take(self._capture.grab)

    def read(self) -> tuple[bool, UInt8[ndarray, "h w 3"] | None]:
        """Take and decode the next frame, BGR; return (False, None) at the end.

        Raises:
            DataError: If the frame has too many pixels.
        """
        frame: UInt8[ndarray, "h w 3"] | None = None

        def read() -> bool:
            nonlocal frame
            decoded, found = self._capture.read()
            if decoded:
                frame = np.asarray(found, np.uint8)
                self._check_pixels(*map(float, frame.shape[1::-1]))
            return decoded

        return self._take(read), frame

    def release(self) -> None:
        """Close the video."""
        self._capture.release()

    def _take(self, read: Callable[[], bool]) -> bool:
        """Take a frame, after reopening the stream if necessary; return False at the end."""
        while not self._timed(read):
            if not self._reconnect():
                return False
            self.num_reconnections += 1
        if self._delay != _DELAYS[0]:
            logger.info("stream %s is back", self.name)
        self._delay, self._last_frame = _DELAYS[0], time.monotonic()
        return True

    def _timed(self, read: Callable[[], bool]) -> bool:
        start, waited_before = time.monotonic(), self._waited
        is_taken = read()
        # After a timeout OpenCV may still return an incomplete frame, and only then the end.
        self._waited = time.monotonic() - start
        self.is_silent = not is_taken and max(waited_before, self._waited) >= TIMEOUT
        return is_taken

    def _open(self) -> bool:
        is_open = False
        if isinstance(self._source, int):
            is_open = self._capture.open(self._source)  # OpenCV has its own timeout for cameras.
        elif self.is_stream:
            limit = round(1000 * TIMEOUT)
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit]
            is_open = self._capture.open(check_utf8(self._source), cv2.CAP_ANY, limits)
        elif Path(self._source).is_file():
            is_open = self._capture.open(check_utf8(self._source))
        size = self.get(cv2.CAP_PROP_FRAME_WIDTH), self.get(cv2.CAP_PROP_FRAME_HEIGHT)
        self._check_pixels(*size)
        return is_open

    def _check_pixels(self, width: float, height: float) -> None:
        """Refuse huge frames: by the header and, because it may be wrong, frame by frame."""
        if width * height > MAX_PIXELS:
            self.release()
            raise DataError(
                f"video {self.name} has frames of {width:.0f} x {height:.0f} pixels, more than the"
                f" {MAX_PIXELS:,} that are read; make it smaller"
            )

    def _reconnect(self) -> bool:
        """Reopen the stream, with growing pauses; return False if that fails, or it has an end."""
        if self._reconnect_for <= 0 or self.get(cv2.CAP_PROP_FRAME_COUNT) >= 1:
            return False
        while (left := self._last_frame + self._reconnect_for - time.monotonic()) > 0:
            if time.monotonic() - self._last_said >= _SAID_EVERY:
                self._last_said = time.monotonic()
                what = f"sent nothing for {TIMEOUT:g} s" if self.is_silent else "is away"
                logger.warning("stream %s %s: reopening it for %.0f s more", self.name, what, left)
            if self.stopped.wait(min(self._delay, left)):
                return False
            self._delay = min(2 * self._delay, _DELAYS[1])
            if self._open():
                return True
        return False
