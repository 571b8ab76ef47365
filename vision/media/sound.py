"""Copying the sound of a film to its annotated version."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from vision.extras import require_package

logger = logging.getLogger(__name__)

_COPIED = frozenset({"aac", "flac", "libopus", "mp3", "mp3float", "opus"})
"""Decoders of codecs that MP4 can hold and browsers play; others are converted to AAC."""
_USUAL_RATE = 48_000
"""Samples per second if AAC does not support the film's rate."""


class Sound:
    """The best audio stream of a film, written to another film along with its frames.

    Sound that cannot be read is left out with a warning. A film without sound, or a path that is
    not a film, adds nothing.

    Args:
        path: The film.
        output: The PyAV container to write to, before its first packet.
        start: Time in the film's video stream at which the sound begins, in seconds.
    """

    def __init__(self, path: Path, output: Any, start: float = 0.0) -> None:  # noqa: ANN401
        self._path = path
        self._output = output
        self._errors = (require_package("av", "video").FFmpegError, OSError, ValueError)
        self._packets = self._read(path, start)
        self._next = self._advance()

    def write_until(self, seconds: float) -> None:
        """Write the sound up to a time.

        Raises:
            OSError: If the output cannot be written.
        """
        while (packet := self._next) is not None and packet.pts * packet.time_base <= seconds:
            self._output.mux(packet)
            self._next = self._advance()

    def close(self) -> None:
        """Close the film."""
        self._packets.close()

    def _advance(self) -> Any:  # noqa: ANN401
        try:
            return next(self._packets, None)
        except self._errors as error:
            logger.warning("%s: the rest of its sound cannot be read: %s", self._path, error)
            return None

    def _read(self, path: Path, start: float) -> Any:  # noqa: ANN401
        """Yield the packets from ``start`` on, with times relative to it."""
        av = require_package("av", "video")
        # An absolute path cannot be taken for a URL.
        options = {"protocol_whitelist": "file"}
        with av.open(str(path.absolute()), container_options=options) as film:
            audio, video = film.streams.best("audio"), film.streams.best("video")
            if audio is None or video is None:
                return
            begin = (video.start_time or 0) * video.time_base + Fraction(start)
            is_copied = audio.codec_context.name in _COPIED
            packets = self._copied(film, audio) if is_copied else self._converted(film, audio)
            before = -1
            for packet in packets:
                if packet.pts is None or packet.dts is None:
                    continue
                shift = round(begin / packet.time_base)
                packet.pts -= shift
                packet.dts -= shift
                if min(packet.pts, packet.dts) > before:  # MP4 takes only growing times.
                    before = packet.dts
                    yield packet

    def _copied(self, film: Any, audio: Any) -> Iterator[Any]:  # noqa: ANN401
        stream = self._output.add_stream_from_template(audio)
        for packet in film.demux(audio):
            packet.stream = stream
            yield packet

    def _converted(self, film: Any, audio: Any) -> Iterator[Any]:  # noqa: ANN401
        rates = require_package("av", "video").Codec("aac", "w").audio_rates
        rate = audio.rate if audio.rate in rates else _USUAL_RATE
        layout = "mono" if audio.layout.nb_channels == 1 else "stereo"
        stream = self._output.add_stream("aac", rate=rate, layout=layout)
        for frame in film.decode(audio):
            yield from stream.encode(frame)
        yield from stream.encode(None)
