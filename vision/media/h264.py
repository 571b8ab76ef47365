"""Writing H.264 with sound, using PyAV."""

# h and w the height and width of a frame, which are even

import functools
import importlib.util
import logging
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path

import cv2
from jaxtyping import UInt8
from numpy import ndarray

from vision.extras import require_package
from vision.media.sound import Sound

logger = logging.getLogger(__name__)

_TICKS = 90_000
"""Units of the time base in a second."""
_FRAGMENT_SECONDS = 1
"""Length of a fragment; a kill loses the last one, and the frames still in the encoder."""
_OPTIONS = {"preset": "superfast", "crf": "23", "rc-lookahead": "10"}
_FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof+hybrid_fragmented"
_CONTAINER = {"movflags": _FRAGMENTS, "flush_packets": "1"}
"""The file is written in fragments, which `close` turns into an ordinary MP4 with one index."""
_BT601 = 6
"""FFmpeg's number for BT.601, the colour space of OpenCV's conversion from RGB to YUV."""


@functools.cache
def has_h264() -> bool:
    """Whether PyAV is installed and has an H.264 encoder."""
    if importlib.util.find_spec("av") is None:
        return False
    codec = require_package("av.codec", "video")
    try:
        codec.Codec("h264", "w")
    except ValueError:
        return False
    return True


@contextmanager
def _os_errors() -> Iterator[None]:
    """Turn all PyAV errors into `OSError`, also those that the operating system did not cause."""
    try:
        yield
    except require_package("av", "video").FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error


class H264Encoder:
    """Encoder of H.264 in MP4 that players and browsers support: YUV 4:2:0, without B-frames.

    Args:
        path: The file.
        size_wh: (width, height) of the frames.
        fps: Nominal frames per second, for the last frame's duration: each frame has its own time.
        sound_of: A film whose sound is copied, or converted to AAC if MP4 cannot hold its codec.
        start: Time of the first frame in that film, in seconds.

    Raises:
        ValueError: If the encoder does not support the size or rate.
        OSError: If the file cannot be written; also raised by the methods.
    """

    def __init__(
        self,
        path: Path,
        size_wh: tuple[int, int],
        fps: float,
        sound_of: Path | None = None,
        start: float = 0.0,
    ) -> None:
        if not 0 < fps < math.inf:
            raise ValueError("fps is not positive")
        self._duration = max(1, round(_TICKS / fps))
        self._sound: Sound | None = None
        try:
            self._begin(path, size_wh, fps)
            if sound_of is not None:
                self._sound = Sound(sound_of, self._file, start)
            self._start()
        except OSError as error:
            if self._sound is None:
                raise
            logger.warning("%s: its sound is left out: %s", sound_of, error.strerror)
            self._sound = None
            self._begin(path, size_wh, fps)
            self._start()

    def _begin(self, path: Path, size_wh: tuple[int, int], fps: float) -> None:
        av = require_package("av", "video")
        self._frame = av.VideoFrame
        with _os_errors():
            self._file = av.open(str(path), "w", format="mp4", options=_CONTAINER)
        self._stream = self._file.add_stream("h264", options=_OPTIONS)
        self._stream.width, self._stream.height = size_wh
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.framerate = Fraction(fps).limit_denominator(1001) or 1
        context.max_b_frames = 0
        context.gop_size = max(1, round(_FRAGMENT_SECONDS * fps))
        context.colorspace = context.color_primaries = context.color_trc = _BT601
        self._stream.time_base = context.time_base = Fraction(1, _TICKS)
        try:
            context.open(strict=False)
        except av.FFmpegError as error:
            self._file.close()
            raise ValueError(str(error)) from error

    def _start(self) -> None:
        with _os_errors():
            self._file.start_encoding()

    def write(self, frame: UInt8[ndarray, "h w 3"], seconds: float) -> None:
        """Add a frame, and the sound up to its time."""
        yuv = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420)
        encoded = self._frame.from_ndarray(yuv, format="yuv420p")
        encoded.time_base = self._stream.time_base
        encoded.pts, encoded.duration = round(seconds * _TICKS), self._duration
        with _os_errors():
            self._file.mux(self._stream.encode(encoded))
            if self._sound is not None:
                self._sound.write_until(seconds)

    def close(self) -> None:
        """Finish the file, with the rest of the sound."""
        with _os_errors(), ExitStack() as stack:
            stack.callback(self._file.close)
            if self._sound is not None:
                stack.callback(self._sound.close)
            self._file.mux(self._stream.encode(None))
            if self._sound is not None:
                self._sound.write_until(math.inf)
