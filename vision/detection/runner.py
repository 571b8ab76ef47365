"""Detection in many images and videos: reading, detecting, drawing and writing in threads."""

import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

from vision.atomic import remove_partial
from vision.choices import RESULTS
from vision.detection.coco_ids import CocoIds
from vision.detection.journal import Journal
from vision.detection.outcomes import Image, Outcome, draw_and_write, read_first
from vision.detection.pipeline import map_batches
from vision.detection.results import make_entry, write_results
from vision.detection.settings import Report, Settings
from vision.detector import Detector
from vision.draw import draw_detections
from vision.errors import DataError, Signalled
from vision.media import MediaInput, VideoReader, VideoWriter

logger = logging.getLogger(__name__)


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

    A source that fails is reported, and the run continues. After Ctrl-C or a signal the remaining
    sources are left out, and the results of the others are written.

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
        KeyboardInterrupt: After the results, if Ctrl-C or a signal interrupted an image or a video
            file, or a signal a stream.
    """
    journal.check({source.name: str(source.relative) for source in sources})
    run = _Run(detector, settings, journal, report, advance)
    remaining = [source for source in sources if source.name not in journal]
    report.num_resumed = len(sources) - len(remaining)
    try:
        run.sources(remaining)
    except KeyboardInterrupt as interruption:
        report.interruption = interruption
    names = [source.name for source in sources]
    for kind in settings.results:
        write_results(settings.out / RESULTS[kind], kind, journal.entries(names), ids)
    for entry in journal.entries(names):
        report.inputs["frame" if "frame" in entry else "image"] += 1
        report.objects.update(item["label"] for item in entry["detections"])
    if report.interruption is not None:
        raise report.interruption


@dataclass(frozen=True, slots=True)
class _Run:
    detector: Detector
    settings: Settings
    journal: Journal
    report: Report
    advance: Callable[[], object]

    def sources(self, sources: Sequence[MediaInput]) -> None:
        for is_image, group in itertools.groupby(sources, lambda source: source.kind == "image"):
            if is_image:
                self.images(list(group))
            else:
                for source in group:
                    self.video(source)

    def images(self, sources: Sequence[MediaInput]) -> None:
        settings = self.settings
        work = self._read_and_write
        with closing(map_batches(work, sources, settings.batch, settings.workers)) as outcomes:
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
        if self.report.interruption is not None:
            raise self.report.interruption

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
                    is_ended = self._frames(source, video, writer)
            else:
                is_ended = self._frames(source, video, None)
            if problem := video.shortfall():
                self.report.fail(f"video {source.name}: {problem}; what was read is kept")
                return False
            if is_ended and source.kind == "stream" and video.num_frames is None:
                self.report.fail(
                    f"stream {source.name} ended, or sent nothing more, after {video.num_read}"
                    " frames; what was read is kept"
                )
                return False
            return True

    def _frames(
        self, source: MediaInput, video: Iterable[Image], writer: VideoWriter | None
    ) -> bool:
        """Detect in the frames of a video; whether all that it gives were read.

        Ctrl-C ends a stream regularly; a signal does so too, and the run after it.
        """
        settings, names = self.settings, self.detector.names
        draws = writer is not None or settings.show is not None

        def work(numbered: Sequence[tuple[int, Image]]) -> list[Outcome]:
            frames = [frame for _, frame in numbered]
            return [
                Outcome(
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
        except KeyboardInterrupt as interruption:
            if source.kind != "stream":
                raise
            if isinstance(interruption, Signalled):
                self.report.interruption = interruption
            return False
        return True

    def _read_and_write(self, sources: Sequence[MediaInput]) -> list[Outcome]:
        """Read a batch of images, detect in them, and write the annotated images."""
        images: dict[int, Image] = {}
        outcomes: dict[int, Outcome] = {}
        for index, source in enumerate(sources):
            try:
                images[index] = read_first(source.path)
            except DataError as error:  # noqa: PERF203 - the others are still read
                outcomes[index] = Outcome(failure=error)
        results = self.detector(list(images.values()))
        for (index, image), detections in zip(images.items(), results, strict=True):
            outcomes[index] = draw_and_write(
                self.settings, self.detector.names, sources[index], image, detections
            )
        return [outcomes[index] for index in range(len(sources))]

    def _count(self, outcome: Outcome) -> None:
        if self.settings.show is not None and outcome.picture is not None:
            self.settings.show(outcome.picture)
        self.report.num_new += 1
        self.advance()
