"""Detection on many images and videos: read, detect, draw, write, in several threads."""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from jaxtyping import UInt8
from numpy import ndarray

from vision.atomic import remove_partial
from vision.detection.journal import Journal
from vision.detection.pipeline import ordered_map
from vision.detection.results import RESULTS, CocoIds, entry_of, write_results
from vision.detector import Detector
from vision.draw import draw_detections
from vision.errors import ConfigError, DataError
from vision.images import num_pictures, read_image
from vision.media import Source, VideoWriter, read_video, write_image
from vision.structures import Detections

__all__ = ["Outcome", "Report", "Settings", "detect_sources"]

logger = logging.getLogger(__name__)

Image = UInt8[ndarray, "_ _ 3"]
Item = TypeVar("Item")

AHEAD = 2
"""Batches for each worker that wait, are worked on or are done."""
MAY_MOVE = frozenset({".gif", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run does with its inputs.

    Attributes:
        out: Folder of the results.
        pictures: Whether annotated images and videos are written.
        results: Formats, keys of `vision.detection.results.RESULTS`.
        stride: Every n-th frame of a video is looked at and written.
        workers: Images worked on at once.
        batch: Images that go through the network together.
        show: Called with each annotated image.
    """

    out: Path
    pictures: bool = True
    results: Sequence[str] = ("json",)
    stride: int = 1
    workers: int = 1
    batch: int = 1
    show: Callable[[Image], None] | None = None


@dataclass(slots=True)
class Report:
    """What came of a run.

    Attributes:
        num_images: Images and frames, those of an earlier run that was resumed included.
        num_objects: Detections in them.
        failures: A line for each input that failed.
        num_resumed: Inputs that the earlier run had done.
        num_new: Images and frames that this run looked at.
    """

    num_images: int = 0
    num_objects: int = 0
    failures: list[str] = field(default_factory=list)
    num_resumed: int = 0
    num_new: int = 0

    def fail(self, problem: str) -> None:
        """Note a failure and say it."""
        logger.warning("%s", problem)
        self.failures.append(problem)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One image done, or what hindered it."""

    entry: Mapping[str, Any] | None = None
    picture: Image | None = None
    failure: DataError | None = None


def detect_sources(
    sources: Sequence[Source],
    detector: Detector,
    settings: Settings,
    journal: Journal,
    ids: CocoIds,
    report: Report,
    advance: Callable[[], object] = lambda: None,
) -> None:
    """Detect in all sources that the journal does not have, then write the results of all.

    An input that fails is reported, and the rest goes on.

    Args:
        sources: What to look at.
        detector: What with; as many threads call it as ``settings.workers`` says.
        settings: What to write, and how much at once.
        journal: What is done; it grows with each input.
        ids: For results in COCO's format.
        report: Filled on the way.
        advance: Called after each image and frame.

    Raises:
        ConfigError: If an input that is done is not among the sources, or its result would go
            elsewhere now.
        DataError: If the journal or a result file cannot be written.
    """
    _check_places(journal, sources)
    run = _Run(detector, settings, journal, report, advance)
    left = [source for source in sources if source.name not in journal]
    report.num_resumed = len(sources) - len(left)
    for is_image, group in itertools.groupby(left, lambda source: source.kind == "image"):
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


def _check_places(journal: Journal, sources: Sequence[Source]) -> None:
    places = {source.name: str(source.relative) for source in sources}
    for name, done in journal.done.items():
        if places.get(name) != done.place:
            raise ConfigError(
                f"{name} was done before and is not among the inputs now, or would go elsewhere;"
                " resume with the same inputs, or start anew with --overwrite"
            )


@dataclass(frozen=True, slots=True)
class _Run:
    detector: Detector
    settings: Settings
    journal: Journal
    report: Report
    advance: Callable[[], object]

    def images(self, sources: Sequence[Source]) -> None:
        """Detect in images."""
        outcomes = self._pipeline(self._read_and_write, sources)
        for source, outcome in zip(sources, outcomes, strict=True):
            if outcome.entry is None:
                self.report.fail(str(outcome.failure))
            else:
                self.journal.start(source.name)
                self.journal.add(outcome.entry)
                self.journal.finish(source.name, str(source.relative))
            self._passed(outcome)

    def video(self, source: Source) -> None:
        """Detect in a video; of a stream Ctrl-C is the end."""
        self.journal.start(source.name)
        try:
            self._video(source)
        except DataError as error:
            self.report.fail(str(error))
        else:
            self.journal.finish(source.name, str(source.relative))

    def _video(self, source: Source) -> None:
        settings = self.settings
        address = source.path if source.address is None else source.address
        with read_video(address, settings.stride) as video:
            rate = video.fps / settings.stride
            if settings.pictures:
                logger.info("%s: audio, if there is any, is left out", source.name)
                place = settings.out / source.relative
                remove_partial(place.parent)
                with VideoWriter(place, rate) as writer:
                    self._frames(source, video, writer)
            else:
                self._frames(source, video, None)
            if problem := video.shortfall():
                self.report.fail(f"video {source.name}: {problem}; what was read is kept")

    def _frames(self, source: Source, video: Iterable[Image], writer: VideoWriter | None) -> None:
        draws = writer is not None or self.settings.show is not None

        def work(numbered: Sequence[tuple[int, Image]]) -> list[Outcome]:
            frames = [frame for _, frame in numbered]
            found = self.detector(frames)
            return [
                Outcome(
                    entry_of(source.name, one, self.detector.names, number * self.settings.stride),
                    draw_detections(frame, one, self.detector.names) if draws else None,
                )
                for (number, frame), one in zip(numbered, found, strict=True)
            ]

        try:
            for outcome in self._pipeline(work, enumerate(video)):
                assert outcome.entry is not None
                if writer is not None and outcome.picture is not None:
                    writer.write(outcome.picture)
                self.journal.add(outcome.entry)
                self._passed(outcome)
        except KeyboardInterrupt:
            if source.kind != "stream":
                raise

    def _pipeline(
        self, work: Callable[[Sequence[Item]], list[Outcome]], items: Iterable[Item]
    ) -> Iterator[Outcome]:
        workers = self.settings.workers
        batches = _batches(items, self.settings.batch)
        for outcomes in ordered_map(work, batches, workers, AHEAD * workers):
            yield from outcomes

    def _read_and_write(self, sources: Sequence[Source]) -> list[Outcome]:
        """A batch of images from file to file."""
        images: dict[int, Image] = {}
        outcomes: dict[int, Outcome] = {}
        for index, source in enumerate(sources):
            try:
                images[index] = _read(source.path)
            except DataError as error:  # noqa: PERF203 - each has its own
                outcomes[index] = Outcome(failure=error)
        found = self.detector(list(images.values()))
        for (index, image), detections in zip(images.items(), found, strict=True):
            outcomes[index] = self._finish(sources[index], image, detections)
        return [outcomes[index] for index in range(len(sources))]

    def _finish(self, source: Source, image: Image, detections: Detections) -> Outcome:
        settings, names = self.settings, self.detector.names
        picture = None
        if settings.pictures or settings.show is not None:
            picture = draw_detections(image, detections, names)
        try:
            if settings.pictures and picture is not None:
                write_image(settings.out / source.relative, picture)
        except DataError as error:
            return Outcome(failure=error)
        shown = picture if settings.show is not None else None
        return Outcome(entry_of(source.name, detections, names), shown)

    def _passed(self, outcome: Outcome) -> None:
        if self.settings.show is not None and outcome.picture is not None:
            self.settings.show(outcome.picture)
        self.report.num_new += 1
        self.advance()


def _read(path: Path) -> Image:
    image = read_image(path)
    if path.suffix.lower() in MAY_MOVE and (count := num_pictures(path)) > 1:
        logger.warning("%s: the first of its %d pictures is looked at", path, count)
    return image


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, size)):
        yield batch
