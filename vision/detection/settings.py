"""The settings of a detection run, and its summary."""

# h and w the height and width of an image

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import UInt8
from numpy import ndarray

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a detection run.

    Attributes:
        out: Folder of the results.
        pictures: Whether annotated images and videos are written.
        results: Formats, keys of `vision.detection.RESULTS`.
        stride: Every n-th frame of a video is processed and written.
        workers: Number of batches processed at the same time.
        batch: Images in a batch.
        show: Called with each annotated image.
    """

    out: Path
    pictures: bool = True
    results: Sequence[str] = ("json",)
    stride: int = 1
    workers: int = 1
    batch: int = 1
    show: Callable[[UInt8[ndarray, "h w 3"]], None] | None = None


@dataclass(slots=True)
class Report:
    """Summary of a detection run.

    Attributes:
        num_images: Images and frames with results, including those of a resumed run.
        num_objects: Detections in them.
        failures: One line for each input that failed.
        num_resumed: Inputs that the resumed run had completed.
        num_new: Images and frames that this run has processed.
    """

    num_images: int = 0
    num_objects: int = 0
    failures: list[str] = field(default_factory=list)
    num_resumed: int = 0
    num_new: int = 0

    def fail(self, problem: str) -> None:
        """Record a failure and log it."""
        logger.warning("%s", problem)
        self.failures.append(problem)
