"""Detection in many images and videos: reading, detecting, drawing and writing in threads."""

import itertools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import UInt8
from numpy import ndarray

from vision.atomic import remove_partial
from vision.choices import RESULTS
from vision.detection.journal import Journal
from vision.detection.pipeline import map_batches
from vision.detection.results import CocoIds, make_entry, write_results
from vision.detection.settings import Report, Settings
from vision.detector import Detector
from vision.draw import draw_detections
from vision.errors import DataError
from vision.image_info import num_frames
from vision.images import read_image
from vision.media import MediaInput, VideoReader, VideoWriter, write_image
from vision.structures import Detections

logger = logging.getLogger(__name__)

Image = UInt8[ndarray, "_ _ 3"]

ANIMATED_SUFFIXES = frozenset({".gif", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The result of one image, or its error."""

    entry: Mapping[str, Any] | None = None
    picture: Image | None = None
    failure: DataError | None = None


def detect_sources(
    sources: Sequence[MediaInput],
    detector: Detector,
    settings: Settings,
    journal: Journal,
    ids: CocoIds,
    report: Report,
    advance: Callable[[], object] = lambda: None,
) -> None:
    """Detect in all sources that are not in the journal, then write the results of all.

    A source that fails is reported, and the run continues.

    Args:
        sources: Images, videos and streams.
        detector: Called from ``settings.workers`` threads.
        settings: What to write, and the sizes of batches and pools.
        journal: The sources done so far; this function adds to it.
        ids: Image and category ids of COCO results.
        report: Updated during the run.
        advance: Called after each image and frame.

    Raises:
        ConfigError: If a source in the journal is not among the sources, or its result would now
            have another path.
        DataError: If the journal or a result file cannot be written.
    """
    journal.check({source.name: str(source.relative) for source in sources})
    run = _Run(detector, settings, journal, report, advance)
    remaining = [source for source in sources if source.name not in journal]
    report.num_resumed = len(sources) - len(remaining)
    for is_image, group in itertools.groupby(remaining, lambda source: source.kind == "image"):
        if is_image:
            run.images(list(group))
        else:
            for source in group:
                run.video(source)
    names = [source.name for source in sources]
    for kind in settings.results:
        write_results(settings.out / RESULTS[kind], kind, journal.entries(names), ids)
    for entry in journal.entries(names):
        report.num_images += 1
        report.num_objects += len(entry["detections"])


@dataclass(frozen=True, slots=True)
class _Run:
    detector: Detector
    settings: Settings
    journal: Journal
    report: Report
    advance: Callable[[], object]

    def images(self, sources: Sequence[MediaInput]) -> None:
        settings = self.settings
        outcomes = map_batches(self._read_and_write, sources, settings.batch, settings.workers)
        for source, outcome in zip(sources, outcomes, strict=True):
            if outcome.entry is None:
                self.report.fail(str(outcome.failure))
            else:
                self.journal.start(source.name)
                self.journal.add(outcome.entry)
                self.journal.finish(source.name, str(source.relative))
            self._count(outcome)

    def video(self, source: MediaInput) -> None:
        self.journal.start(source.name)
        try:
            complete = self._video(source)
        except DataError as error:
            self.report.fail(str(error))
        else:
            self.journal.finish(source.name, str(source.relative), complete=complete)

    def _video(self, source: MediaInput) -> bool:
        """Detect in a video; False if it broke off."""
        settings = self.settings
        address = source.path if source.address is None else source.address
        with VideoReader(address, settings.stride) as video:
            if settings.pictures:
                logger.info("%s: audio, if there is any, is left out", source.name)
                path = settings.out / source.relative
                remove_partial(path.parent)
                with VideoWriter(path, video.fps / settings.stride) as writer:
                    self._frames(source, video, writer)
            else:
                self._frames(source, video, None)
            if problem := video.shortfall():
                self.report.fail(f"video {source.name}: {problem}; what was read is kept")
            return not problem

    def _frames(
        self, source: MediaInput, video: Iterable[Image], writer: VideoWriter | None
    ) -> None:
        """Detect in the frames of a video; Ctrl-C ends a stream regularly."""
        settings, names = self.settings, self.detector.names
        draws = writer is not None or settings.show is not None

        def work(numbered: Sequence[tuple[int, Image]]) -> list[_Outcome]:
            frames = [frame for _, frame in numbered]
            return [
                _Outcome(
                    make_entry(source.name, detections, names, number * settings.stride),
                    draw_detections(frame, detections, names) if draws else None,
                )
                for (number, frame), detections in zip(numbered, self.detector(frames), strict=True)
            ]

        try:
            for outcome in map_batches(work, enumerate(video), settings.batch, settings.workers):
                assert outcome.entry is not None
                if writer is not None and outcome.picture is not None:
                    writer.write(outcome.picture)
                self.journal.add(outcome.entry)
                self._count(outcome)
        except KeyboardInterrupt:
            if source.kind != "stream":
                raise

    def _read_and_write(self, sources: Sequence[MediaInput]) -> list[_Outcome]:
        """Read a batch of images, detect in them, and write the annotated images."""
        images: dict[int, Image] = {}
        outcomes: dict[int, _Outcome] = {}
        for index, source in enumerate(sources):
            try:
                images[index] = _read(source.path)
            except DataError as error:  # noqa: PERF203 - the others are still read
                outcomes[index] = _Outcome(failure=error)
        results = self.detector(list(images.values()))
        for (index, image), detections in zip(images.items(), results, strict=True):
            outcomes[index] = self._draw_and_write(sources[index], image, detections)
        return [outcomes[index] for index in range(len(sources))]

    def _draw_and_write(self, source: MediaInput, image: Image, detections: Detections) -> _Outcome:
        settings, names = self.settings, self.detector.names
        entry = make_entry(source.name, detections, names)
        if not settings.pictures and settings.show is None:
            return _Outcome(entry)
        picture = draw_detections(image, detections, names)
        try:
            if settings.pictures:
                write_image(settings.out / source.relative, picture)
        except DataError as error:
            return _Outcome(failure=error)
        return _Outcome(entry, picture if settings.show is not None else None)

    def _count(self, outcome: _Outcome) -> None:
        if self.settings.show is not None and outcome.picture is not None:
            self.settings.show(outcome.picture)
        self.report.num_new += 1
        self.advance()


def _read(path: Path) -> Image:
    image = read_image(path)
    if path.suffix.lower() in ANIMATED_SUFFIXES and (count := num_frames(path)) > 1:
        logger.warning("%s: only the first of its %d frames is used", path, count)
    return image
