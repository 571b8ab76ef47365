"""Detection and tracking in the frames of one video."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import final

import torch

from vision.detection.counting import RegionCounter
from vision.detection.outcomes import FoundFrame, Outcome, write_and_draw_frame
from vision.detection.pipeline import map_batches
from vision.detection.settings import Settings
from vision.detection.tracking import LOW_SCORE, Tracker
from vision.detector import Detector
from vision.media import Frame, MediaInput, VideoReader
from vision.runtime import score_thresholds


def is_live(source: MediaInput, video: VideoReader) -> bool:
    """Whether a video is a stream of unknown length, which cannot be read again."""
    return source.kind == "stream" and video.num_frames is None


def find_problem(source: MediaInput, video: VideoReader, *, is_ended: bool) -> str:
    """Describe, after reading a video, how it ended too early; empty if it did not.

    ``is_ended`` is False if Ctrl-C or a signal ended it.
    """
    if problem := video.shortfall():
        return f"video {source.name}: {problem}; what was read is kept"
    if is_ended and is_live(source, video):
        return f"stream {source.name} {video.how_it_ended()}; what was read is kept"
    return ""


@final
class FrameDetector:
    """Detects objects in the frames of one video, in several threads.

    Args:
        source: The video.
        video: Its reader.
        detector: Called from ``settings.workers`` threads.
        settings: What to write, and whether to track.

    Raises:
        ConfigError: If ``trackers`` is needed and not installed.
        DataError: If a point of a counting region is outside the frames.
    """

    def __init__(
        self, source: MediaInput, video: VideoReader, detector: Detector, settings: Settings
    ) -> None:
        self._source = source
        self._video = video
        self._detector = detector
        self._settings = settings
        self._tracker: Tracker | None = None
        self._scores: dict[str, float] | None = None
        self._counters = [RegionCounter(region, video.size) for region in settings.regions]
        if settings.track:
            names, best = detector.names, detector.training.get("thresholds")
            thresholds = score_thresholds(detector.score or 0.0, names, best)
            thresholds = torch.as_tensor(thresholds).expand(len(names))
            self._tracker = Tracker(video.fps / settings.stride, thresholds)
            self._scores = {
                name: score if score == 1 else min(score, LOW_SCORE)  # 1 excludes a class
                for name, score in zip(names, thresholds.tolist(), strict=True)
            }

    def outcomes(self) -> Generator[Outcome]:
        """Yield the outcome of each frame, in order.

        Raises:
            DataError: If a file cannot be written.
        """
        frames, settings = enumerate(self._video.frames()), self._settings
        how = (frames, settings.batch, settings.workers, self._video.stopped)
        if self._tracker is None:
            yield from map_batches(self._finish_all, *how)
            return
        for found in map_batches(self._detect, *how):
            yield self._track(found)

    def _detect(self, numbered: Sequence[tuple[int, Frame]]) -> list[FoundFrame]:
        images = [frame.image for _, frame in numbered]
        found = self._detector(images, score=self._scores)
        return [
            FoundFrame(frame.image, number * self._settings.stride, frame.seconds, detections)
            for (number, frame), detections in zip(numbered, found, strict=True)
        ]

    def _finish_all(self, numbered: Sequence[tuple[int, Frame]]) -> list[Outcome]:
        return [self._finish(found) for found in self._detect(numbered)]

    def _track(self, found: FoundFrame) -> Outcome:
        assert self._tracker is not None
        detections, tracks = self._tracker.update(found.detections, found.seconds)
        return self._finish(replace(found, detections=detections, tracks=tracks))

    def _finish(self, found: FoundFrame) -> Outcome:
        names = self._detector.names
        return write_and_draw_frame(self._settings, names, self._source, found, self._counters)
