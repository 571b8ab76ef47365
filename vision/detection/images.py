"""Detection in many images: some are read or written while others are in the network."""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from typing import TypeAlias, final

from vision.detection.outcomes import Image, Outcome, read_first, write_and_draw
from vision.detection.pipeline import map_batches
from vision.detection.settings import Settings
from vision.detector import Detector
from vision.errors import DataError
from vision.media import MediaInput

Outcomes: TypeAlias = Callable[[Sequence[MediaInput]], Generator[tuple[MediaInput, Outcome]]]
"""A function that detects objects in images and yields each with its outcome, in any order."""


@final
class ImageDetector:
    """Detects objects in images, in several threads.

    Args:
        detector: Called from ``settings.workers`` threads.
        settings: What to write, the batch size and the number of threads.
    """

    def __init__(self, detector: Detector, settings: Settings) -> None:
        self._detector = detector
        self._settings = settings

    def outcomes(self, sources: Iterable[MediaInput]) -> Generator[tuple[MediaInput, Outcome]]:
        """Yield each image with its outcome, in order, after its files have been written."""
        batch, workers = self._settings.batch, self._settings.workers
        with closing(map_batches(self._read_and_write, sources, batch, workers)) as outcomes:
            yield from outcomes

    def _read_and_write(self, sources: Sequence[MediaInput]) -> list[tuple[MediaInput, Outcome]]:
        """Read a batch of images, detect objects in them, and write their files."""
        images: dict[int, Image] = {}
        outcomes: dict[int, Outcome] = {}
        for index, source in enumerate(sources):
            try:
                images[index] = read_first(source)
            except DataError as error:  # noqa: PERF203 - the others are still read
                outcomes[index] = Outcome(failure=error)
        results = self._detector(list(images.values()))
        for (index, image), detections in zip(images.items(), results, strict=True):
            outcomes[index] = write_and_draw(
                self._settings, self._detector.names, sources[index], image, detections
            )
        return [(source, outcomes[index]) for index, source in enumerate(sources)]
