"""Detection in many images and videos: reading, detecting, drawing and writing in threads."""

import itertools
import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from vision.atomic import remove_partial, remove_unfinished
from vision.choices import RESULTS
from vision.detection.coco_ids import CocoIds
from vision.detection.frames import FrameDetector, find_problem, is_live
from vision.detection.image_files import write_data_yaml
from vision.detection.images import ImageDetector, Outcomes
from vision.detection.journal import Journal
from vision.detection.outcomes import Outcome
from vision.detection.results import write_results
from vision.detection.settings import Report, Settings
from vision.detector import Detector
from vision.errors import DataError, Signalled
from vision.media import MediaInput, VideoReader, VideoWriter, has_h264
from vision.rows import describe_counts

logger = logging.getLogger(__name__)


def detect_sources(
    sources: Sequence[MediaInput],
    detector: Detector,
    settings: Settings,
    journal: Journal,
    ids: CocoIds,
    report: Report,
    advance: Callable[[], object] = lambda: None,
    outcomes: Outcomes | None = None,
) -> None:
    """Detect in all sources that are not complete in the journal, then write the results of all.

    A source that fails is reported, and the run continues. After Ctrl-C or a signal the remaining
    sources are left out, and the results of the others are written.

    Args:
        sources: Images, videos and streams.
        detector: Called from ``settings.workers`` threads.
        settings: What to write, the batch size and the number of threads.
        journal: The sources done so far; this function adds to it.
        ids: Image and category ids of COCO results.
        report: Updated during the run.
        advance: Called after each image and frame.
        outcomes: Function that detects in images; `ImageDetector.outcomes` by default.

    Raises:
        ConfigError: If a source in the journal is not among the sources, or its result would now
            have another path.
        DataError: If the journal or a result file cannot be written.
        KeyboardInterrupt: After writing the results, if Ctrl-C or a signal interrupted an image or
            a video file, or if a signal interrupted a stream.
    """
    journal.check({source.name: str(source.relative) for source in sources})
    outcomes = outcomes or ImageDetector(detector, settings).outcomes
    run = _Run(detector, settings, journal, report, advance, outcomes)
    names = [source.name for source in sources]
    remaining = [source for source in sources if source.name not in journal]
    report.num_resumed, report.num_skipped = len(sources) - len(remaining), len(remaining)
    if "yolo" in settings.folders:
        write_data_yaml(settings.out, detector.names)
    try:
        run.sources(remaining)
    except KeyboardInterrupt as interruption:
        report.interruption = interruption
    run.results(names, ids)
    if report.interruption is not None:
        left = describe_counts({"input": report.num_skipped}, "no input")
        logger.warning("%s left out; continue with --resume", left)
        raise report.interruption


@dataclass(frozen=True, slots=True)
class _Run:
    detector: Detector
    settings: Settings
    journal: Journal
    report: Report
    advance: Callable[[], object]
    outcomes: Outcomes

    def results(self, names: Sequence[str], ids: CocoIds) -> None:
        """Count the entries in the journal, and write them in each format."""
        report, post_process = self.report, self.detector.post_process
        for entry in self.journal.entries(names):
            report.inputs["frame" if "frame" in entry else "image"] += 1
            report.objects.update(item["label"] for item in entry["detections"])
            report.num_capped += len(entry["detections"]) >= post_process.max_detections
            if "counts" in entry:
                report.counts[entry["image"]] = entry["counts"]
        omissions = report.omissions()
        if self.detector.tiles != 1:
            omissions["tiles"] = self.detector.tiles
        for kind in self.settings.results:
            path, entries = self.settings.out / RESULTS[kind], self.journal.entries(names)
            write_results(path, kind, entries, ids, omissions)

    def sources(self, sources: Sequence[MediaInput]) -> None:
        if self.settings.pictures and not has_h264() and {s.kind for s in sources} - {"image"}:
            logger.info(
                "videos are written as MPEG-4, without sound; for H.264, which browsers play, with"
                ' sound, run pip install ".[video]" in ssdlite\'s folder'
            )
        for is_image, group in itertools.groupby(sources, lambda source: source.kind == "image"):
            if is_image:
                self.images(list(group))
            else:
                for source in group:
                    self.video(source)

    def images(self, sources: Sequence[MediaInput]) -> None:
        with closing(self.outcomes(sources)) as outcomes:
            for source, outcome in outcomes:
                if outcome.entry is None:
                    self.report.fail(str(outcome.failure))
                else:
                    self.journal.start(source.name)
                    self.journal.add(outcome.entry)
                    self.journal.finish(source.name, str(source.relative))
                self.report.num_skipped -= 1
                self._count(outcome)

    def video(self, source: MediaInput) -> None:
        try:
            problem = self._video(source)
        except DataError as error:
            self.report.fail(str(error))
        else:
            if problem:
                self.report.fail(problem)
            if problem is not None:
                self.journal.finish(source.name, str(source.relative), complete=not problem)
        self.report.num_skipped -= 1
        if self.report.interruption is not None:
            raise self.report.interruption

    def _video(self, source: MediaInput) -> str | None:
        """Detect in a video; return how it ended too early, None if a stream keeps old entries."""
        settings = self.settings
        address = source.path if source.address is None else source.address
        with VideoReader(address, settings.stride, settings.reconnect) as video:
            if source.name in self.journal.done and is_live(source, video):
                self.journal.keep(source.name)
                kept = "stream %s: what was read before is kept; name another --out for new frames"
                logger.warning(kept, source.name)
                return None
            self.journal.start(source.name)
            if settings.pictures:
                path = settings.out / source.relative
                remove_partial(path.parent)
                sound_of = source.path if source.kind == "video" else None
                with VideoWriter(path, video.fps / settings.stride, sound_of) as writer:
                    is_ended = self._frames(source, video, writer)
                if source.kind == "video":
                    remove_unfinished(path)
            else:
                is_ended = self._frames(source, video, None)
            problem = find_problem(source, video, is_ended=is_ended)
            self.report.num_final += bool(problem) and is_live(source, video)
            return problem

    def _frames(self, source: MediaInput, video: VideoReader, writer: VideoWriter | None) -> bool:
        """Detect in the frames of a video; return whether they were read to the end.

        Ctrl-C ends only a stream, not the run; a signal ends the run after the stream.
        """
        detector = FrameDetector(source, video, self.detector, self.settings)
        try:
            with closing(detector.outcomes()) as outcomes:
                for outcome in outcomes:
                    assert outcome.entry is not None
                    if writer is not None and outcome.picture is not None:
                        writer.write(outcome.picture, outcome.entry["time"])
                    self.journal.add(outcome.entry)
                    self._count(outcome)
        except KeyboardInterrupt as interruption:
            if source.kind != "stream":
                raise
            if isinstance(interruption, Signalled):
                self.report.interruption = interruption
            return False
        return True

    def _count(self, outcome: Outcome) -> None:
        if self.settings.show is not None and outcome.picture is not None:
            self.settings.show(outcome.picture)
        self.report.num_new += 1
        self.advance()
