"""Writing videos and reading them back: content, order, end, and what is refused."""

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from jaxtyping import UInt8
from numpy import ndarray

from tests.media.samples import make_files, plain
from vision.errors import DataError
from vision.media import VideoReader, VideoWriter


@pytest.fixture(params=["h264", "mpeg4"])
def codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What videos are written in: H.264 with PyAV, MPEG-4 without."""
    name: str = request.param
    monkeypatch.setattr("vision.media.video_writer.has_h264", lambda: name == "h264")
    return name


def _write(
    path: Path, levels: list[int], fps: float = 10.0, size: tuple[int, int] = (48, 64)
) -> Path:
    with VideoWriter(path, fps) as writer:
        for level in levels:
            writer.write(plain(level, *size))
    return path


@pytest.mark.usefixtures("codec")
def test_a_video_is_read_back_in_order_and_ends(tmp_path: Path) -> None:
    levels = list(range(10, 250, 20))
    path = _write(tmp_path / "new/a.mp4", levels)
    with VideoReader(path) as video:
        assert (video.size, video.fps, video.num_frames) == ((48, 64), 10, len(levels))
        frames = list(video)
        assert not list(video)
    assert len(frames) == len(levels) == 12
    for frame, level in zip(frames, levels, strict=True):
        assert frame.shape == (48, 64, 3)
        assert abs(float(frame.mean()) - level) < 5


@pytest.mark.usefixtures("codec")
def test_frames_are_rgb(tmp_path: Path) -> None:
    frame = plain(0)
    frame[...] = (200, 100, 20)
    with VideoWriter(tmp_path / "a.mp4", 25.0) as writer:
        writer.write(frame)
    with VideoReader(tmp_path / "a.mp4") as video:
        (back,) = video
    assert np.abs(back.mean(axis=(0, 1)) - (200, 100, 20)).max() < 8


def test_iterating_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with VideoReader(_write(tmp_path / "a.mp4", [20, 80, 140, 200])) as video:
        first = [next(iter(video)) for _ in range(2)]
        rest = list(video)
    means = [float(frame.mean()) for frame in first + rest]
    np.testing.assert_allclose(means, [20, 80, 140, 200], atol=5)
    assert not list(video)


@pytest.mark.usefixtures("codec")
@pytest.mark.parametrize("size", [(47, 63), (47, 64), (48, 63), (1, 1), (2, 500)])
def test_odd_sides_are_written_a_pixel_longer(tmp_path: Path, size: tuple[int, int]) -> None:
    with VideoReader(_write(tmp_path / "a.mp4", [40, 200], size=size)) as video:
        assert video.size == (size[0] + size[0] % 2, size[1] + size[1] % 2)
        np.testing.assert_allclose([f.mean() for f in video], [40, 200], atol=6)


@pytest.mark.usefixtures("codec")
def test_frames_of_other_sizes_are_resized_to_the_first(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 25.0) as writer:
        for size in ((48, 64), (24, 32), (100, 20)):
            writer.write(plain(100, *size))
    with VideoReader(tmp_path / "a.mp4") as video:
        assert [frame.shape for frame in video] == [(48, 64, 3)] * 3


@pytest.mark.usefixtures("codec")
@pytest.mark.parametrize("fps", [0.5, 23.976, 29.97, 27.4389123, 240.0])
def test_rates_are_kept(tmp_path: Path, fps: float) -> None:
    with VideoReader(_write(tmp_path / "a.mp4", [0, 99], fps)) as video:
        assert video.fps == pytest.approx(fps, rel=1e-3)


@pytest.mark.parametrize(
    ("rate", "count", "fps", "num_frames"),
    [
        (0, 0, 25, None),
        (float("nan"), float("nan"), 25, None),
        (-1, -1, 25, None),
        (90_000, -9e15, 25, None),
        (float("inf"), float("inf"), 25, None),
        (30, 7, 30, 7),
    ],
)
def test_headers_that_say_nothing_of_use(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rate: float,
    count: float,
    fps: float,
    num_frames: int | None,
) -> None:
    class Capture:
        """Stands in for OpenCV: two frames, the second of another size."""

        def __init__(self) -> None:
            self.frames = [plain(1, 4, 6), plain(2, 8, 8)]

        def open(self, path: str) -> bool:
            return bool(path)

        def get(self, key: int) -> float:
            return {
                cv2.CAP_PROP_FPS: rate,
                cv2.CAP_PROP_FRAME_COUNT: count,
                cv2.CAP_PROP_FRAME_WIDTH: 64,
                cv2.CAP_PROP_FRAME_HEIGHT: 48,
                cv2.CAP_PROP_POS_MSEC: 0,
            }[key]

        def read(self) -> tuple[bool, UInt8[ndarray, "h w 3"] | None]:
            return (True, self.frames.pop(0)) if self.frames else (False, None)

        def release(self) -> None: ...

    make_files(tmp_path, "a.mp4")
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    video = VideoReader(tmp_path / "a.mp4")
    assert (video.fps, video.num_frames, video.size) == (fps, num_frames, (4, 6))
    assert [frame.shape for frame in video] == [(4, 6, 3), (8, 8, 3)]


@pytest.mark.parametrize("content", [b"", b"hello", bytes(range(256)) * 20, None])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "film_001.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"film_001\.mp4 cannot be read: it is missing, empty") as e:
        VideoReader(path)
    assert "\n" not in str(e.value)


@pytest.mark.usefixtures("codec")
def test_a_video_cut_off_before_its_index_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.mp4", [0, 200] * 10)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"a\.mp4 cannot be read"):
        VideoReader(path)


@pytest.mark.usefixtures("codec")
def test_without_frames_there_is_no_file(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 25.0):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("codec")
@pytest.mark.parametrize(
    ("name", "fps", "size", "message"),
    [
        ("a.avi", 25.0, (8, 8), "suffix must be .mp4"),
        ("file/a.mp4", 25.0, (8, 8), "(Not a directory|File exists)"),
        ("folder.mp4", 25.0, (8, 8), "Is a directory"),
        ("a.mp4", 25.0, (8, 20_000), "20000 x 8 pixels at 25 frames per second"),
        ("a.mp4", 0.0, (8, 8), "8 x 8 pixels at 0 frames per second"),
    ],
)
def test_videos_that_cannot_be_written(
    tmp_path: Path, name: str, fps: float, size: tuple[int, int], message: str
) -> None:
    make_files(tmp_path, "file", "folder.mp4/x")
    with pytest.raises(DataError, match=f"cannot be written: .*{message}"):
        _write(tmp_path / name, [0], fps, size)


@pytest.mark.usefixtures("codec")
def test_an_unfinished_video_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"older")
    writer = VideoWriter(path, 25.0)
    writer.write(plain(0))
    (partial,) = tmp_path.glob("*.partial.mp4")
    partial.unlink()
    with pytest.raises(DataError, match="could not be finished"):
        writer.close()
    assert path.read_bytes() == b"older"


@pytest.mark.usefixtures("codec")
def test_a_video_that_is_given_up_leaves_nothing_and_hides_no_error(tmp_path: Path) -> None:
    def fail() -> None:
        with VideoWriter(tmp_path / "a.mp4", 25.0) as writer:
            writer.write(plain(0))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("stride", "levels"), [(1, 6), (2, 3), (3, 2), (4, 2), (50, 1)])
def test_a_stride_takes_every_nth_frame(tmp_path: Path, stride: int, levels: int) -> None:
    path = _write(tmp_path / "a.mp4", [20, 60, 100, 140, 180, 220])
    with VideoReader(path, stride) as video:
        means = [float(frame.mean()) for frame in video]
    np.testing.assert_allclose(means, [20 + 40 * stride * n for n in range(levels)], atol=5)


def test_a_camera_or_stream_that_is_not_there_is_one_line() -> None:
    for source in (987, "rtsp://127.0.0.1:1/none"):
        with pytest.raises(DataError, match="cannot be read"):
            VideoReader(source)


def test_frames_of_too_many_pixels_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with VideoWriter(tmp_path / "film.mp4", 10.0) as writer:
        writer.write(np.full((48, 64, 3), 90, np.uint8))
    monkeypatch.setattr("vision.media.connection.MAX_PIXELS", 48 * 64 - 1)
    with pytest.raises(DataError, match="frames of 64 x 48 pixels, more than the 3,071"):
        VideoReader(tmp_path / "film.mp4")
    monkeypatch.setattr("vision.media.connection.MAX_PIXELS", 48 * 64)
    with VideoReader(tmp_path / "film.mp4") as video:
        assert video.size == (48, 64)


@pytest.mark.parametrize("stated", [(1, 1), (20_000, 20_000)])
def test_a_header_that_lies_about_the_size_of_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stated: tuple[int, int]
) -> None:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    writer.write(plain(90))
    writer.release()
    size, lie = struct.pack("<II", 64, 48), struct.pack("<II", *stated)
    content = path.read_bytes()
    assert content.count(size) == 2  # in the file's header and in the stream's
    path.write_bytes(content.replace(size, lie))
    monkeypatch.setattr("vision.media.connection.MAX_PIXELS", 48 * 64 - 1)
    with pytest.raises(DataError, match=r"64 x 48 pixels, more than the 3,071|cannot be read"):
        VideoReader(path)


def test_a_huge_frame_after_small_ones_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg scales it to the size of the first; other backends of OpenCV give it as it is."""
    path = _write(tmp_path / "a.mp4", [20, 80])
    sizes = iter([(48, 64), (96, 128)])

    opened = cv2.VideoCapture

    class Capture:
        """No subclass of OpenCV's, with which the process crashes some tests later."""

        def __init__(self, *given: Any) -> None:  # noqa: ANN401
            self._capture = opened(*given)

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401
            return getattr(self._capture, name)

        def read(self) -> tuple[bool, ndarray]:
            return True, plain(20, *next(sizes))

    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    monkeypatch.setattr("vision.media.connection.MAX_PIXELS", 48 * 64)
    with VideoReader(path) as video:
        assert video.size == (48, 64)
        with pytest.raises(DataError, match="128 x 96 pixels, more than the 3,072"):
            list(video)
