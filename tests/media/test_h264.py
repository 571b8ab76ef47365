"""Films with sound, their times, and what is left of one whose process is killed."""

import subprocess
import sys
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest

from tests.browser import needs_browser, opened
from tests.disk import files_end_at
from tests.media.samples import film_with_sound, plain
from vision.atomic import remove_partial, remove_unfinished
from vision.errors import DataError
from vision.media import VideoReader, VideoWriter

RATE = 44_100


def copied(source: Path, path: Path) -> Path:
    """A copy of a film, frame by frame, as ``ssdlite detect`` makes it."""
    with VideoReader(source) as video, VideoWriter(path, video.fps, source) as writer:
        for frame in video.frames():
            writer.write(frame.image, frame.seconds)
    return path


def packets(path: Path, kind: Literal["audio", "video"]) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as film:
        stream = film.streams.best(kind)
        assert stream is not None
        return [
            (float((p.pts or 0) * (p.time_base or 0)), bytes(p))
            for p in film.demux(stream)
            if p.size
        ]


def samples(path: Path) -> np.ndarray:
    """The sound as one channel at its own rate."""
    with av.open(str(path)) as film:
        resample = av.AudioResampler("flt", "mono", RATE)
        frames = [x for frame in film.decode(audio=0) for x in resample.resample(frame)]
        return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def test_sound_is_copied_and_stays_in_time(tmp_path: Path) -> None:
    source = film_with_sound(tmp_path / "source.mp4", "aac")
    copy = copied(source, tmp_path / "copy.mp4")
    before = [packet for packet in packets(source, "audio") if packet[0] >= 0]
    assert packets(copy, "audio") == before
    assert len(before) > 40
    with av.open(str(copy)) as film:
        video = film.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert [frame.time for frame in film.decode(video)] == (
            pytest.approx([number / 10 for number in range(10)], abs=1e-4)
        )


def test_sound_that_mp4_does_not_hold_becomes_aac(tmp_path: Path) -> None:
    source = film_with_sound(tmp_path / "source.avi", "pcm_s16le")
    copy = copied(source, tmp_path / "copy.mp4")
    with av.open(str(copy)) as film:
        assert film.streams.audio[0].codec_context.name == "aac"
    before, after = samples(source), samples(copy)
    assert abs(len(before) - len(after)) < 0.1 * RATE
    spectra = [np.abs(np.fft.rfft(x[: RATE // 2])) for x in (before, after)]
    assert [int(spectrum.argmax()) * 2 for spectrum in spectra] == [440, 440]  # in Hz


def test_a_film_without_sound_says_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = film_with_sound(tmp_path / "source.mp4", None)
    copy = copied(source, tmp_path / "copy.mp4")
    with av.open(str(copy)) as film:
        assert not film.streams.audio
    assert not caplog.records


def test_sound_that_cannot_be_read_is_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with VideoWriter(tmp_path / "a.mp4", 10.0, tmp_path / "none.mp4") as writer:
        writer.write(plain(90))
    (record,) = caplog.records
    assert "none.mp4: the rest of its sound cannot be read: " in record.getMessage()
    with VideoReader(tmp_path / "a.mp4") as video:
        assert len(list(video)) == 1


def test_a_variable_rate_is_kept(tmp_path: Path) -> None:
    """As OpenCV's reader states the times, and as PyAV does."""
    times = [0.0, 0.1, 0.25, 1.5, 1.6, 2.75]
    with VideoWriter(tmp_path / "a.mp4", 10.0) as writer:
        for number, seconds in enumerate(times):
            writer.write(plain(20 + 30 * number), seconds)
    copy = copied(tmp_path / "a.mp4", tmp_path / "b.mp4")
    with av.open(str(copy)) as film:
        assert [frame.time for frame in film.decode(video=0)] == pytest.approx(times, abs=1e-3)
    with VideoReader(copy, stride=2) as video:
        assert [frame.seconds for frame in video.frames()] == pytest.approx(times[::2], abs=1e-3)


def test_times_only_grow(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 10.0) as writer:
        for seconds in (0.5, 0.5, 0.2, None, 2.0):
            writer.write(plain(90), seconds)
    with av.open(str(tmp_path / "a.mp4")) as film:
        times = [frame.time for frame in film.decode(video=0)]
    assert times == pytest.approx([0, 0.1, 0.2, 0.3, 1.5], abs=1e-3)  # from the first


_KILLED = """
import os, signal, sys
from tests.media.samples import plain
from vision.media import VideoWriter
writer = VideoWriter(sys.argv[1], 25)
for number in range(200):
    writer.write(plain(number))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_film_of_a_killed_process_can_be_played(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    subprocess.run([sys.executable, "-c", _KILLED, str(path)], check=False)  # noqa: S603
    assert not path.exists()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith("film.")
    with VideoReader(left) as video:
        means = [float(frame.mean()) for frame in video]
    assert 200 - 2 * 25 <= len(means) < 200  # two seconds may be lost
    np.testing.assert_allclose(means, range(len(means)), atol=4)
    (tmp_path / "film.notes.partial.mp4").touch()
    (tmp_path / f"film2.{'0' * 32}.partial.mp4").touch()
    remove_partial(tmp_path)
    assert left.exists()
    remove_unfinished(path)
    assert not left.exists()
    assert len(list(tmp_path.iterdir())) == 2


def test_names_as_long_as_file_systems_take(tmp_path: Path) -> None:
    path = tmp_path / f"{'ü' * 125}.mp4"
    with VideoWriter(path, 10.0) as writer:
        writer.write(plain(90))
        assert len(list(tmp_path.glob("ü*.partial.mp4"))) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no limits of file sizes")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def write() -> None:
        rng = np.random.default_rng(0)
        with VideoWriter(tmp_path / "a.mp4", 10.0) as writer:
            for _ in range(60):
                writer.write(rng.integers(0, 255, (96, 96, 3), np.uint8))

    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(DataError, match=r"a\.mp4 cannot be written: File too large"):
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_from_the_start_leaves_nothing(tmp_path: Path) -> None:
    """Also while the error is still there, which holds the writer."""

    def write() -> None:
        with VideoWriter(tmp_path / "a.mp4", 10.0) as writer:
            writer.write(plain(90))

    with files_end_at(10), pytest.raises(DataError, match="cannot be written: ") as raised:
        write()
    assert raised.value.__cause__ is not None
    assert not list(tmp_path.iterdir())


PAGE = """<!doctype html><html><head></head><body><video muted src="SOURCE"></video><script>
const video = document.querySelector("video"), data = document.documentElement.dataset;
const note = () => {
  data.state = video.readyState;
  data.size = `${video.videoWidth}x${video.videoHeight}`;
  data.duration = video.duration.toFixed(1);
};
video.onerror = () => { data.error = video.error.message; };
video.oncanplaythrough = note;
</script></body></html>"""


@needs_browser
@pytest.mark.slow
def test_a_film_with_sound_plays_in_a_browser(tmp_path: Path) -> None:
    source = film_with_sound(tmp_path / "source.mp4", "aac", size=(49, 63))
    film = copied(source, tmp_path / "copy.mp4")
    noted = opened(PAGE.replace("SOURCE", film.as_uri()), 600, tmp_path)
    assert noted == {"state": "4", "size": "64x50", "duration": "1.0"}
