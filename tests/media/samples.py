"""Small images and empty files."""

import struct
import zlib
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray


def plain(level: int, height: int = 48, width: int = 64) -> UInt8[ndarray, "h w 3"]:
    """An image of one grey."""
    return np.full((height, width, 3), level, np.uint8)


def make_files(folder: Path, *names: str) -> None:
    """Make empty files, and the folders that they lie in."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces a size and has no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def film_with_sound(path: Path, codec: str | None, size: tuple[int, int] = (48, 64)) -> Path:
    """A second of ten grey frames, and a tone of 440 Hz in an audio codec, or silence."""
    rate = 44_100
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as film:
        video = film.add_stream("mpeg4", rate=10)
        height, width = (side + side % 2 for side in size)
        video.height, video.width, video.pix_fmt = height, width, "yuv420p"
        streams: list[Any] = [video]
        if codec is not None:
            streams.append(film.add_stream(codec, rate=rate, layout="mono"))
        for number in range(10):
            image = av.VideoFrame.from_ndarray(plain(20 + 20 * number, height, width), "rgb24")
            film.mux(video.encode(image))
            for audio in streams[1:]:
                times = np.arange(rate * number // 10, rate * (number + 1) // 10) / rate
                wave = np.sin(2 * np.pi * 440 * times, dtype=np.float32)[None]
                sound = av.AudioFrame.from_ndarray(wave, "flt", "mono")
                sound.sample_rate, sound.pts = rate, rate * number // 10
                film.mux(audio.encode(sound))
        for stream in streams:
            film.mux(stream.encode(None))
    return path
