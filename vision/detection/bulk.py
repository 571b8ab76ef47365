"""Detection in batches of images that another engine divides, such as Ray Data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2

from vision.detection.images import ImageDetector
from vision.detection.settings import Settings
from vision.detector import Detector
from vision.media import image_input


class BulkDetector:
    """Detects in batches of images, for ``map_batches`` of Ray Data.

    Some images of a batch are read while others are detected in. The detections are those of
    ``ssdlite detect``.

    Args:
        weights: As for `vision.Detector.load`.
        workers: Images in progress at once: as many as a worker of the engine has CPUs.
        batch: Images in each call of the network; more than 1 for GPUs.
        **options: Others of `vision.Detector.load`, such as ``score``.

    Raises:
        WeightsError: As `vision.Detector.load`.
        ConfigError: As `vision.Detector.load`.
    """

    def __init__(
        self, weights: str | Path = "coco", *, workers: int = 1, batch: int = 1, **options: object
    ) -> None:
        settings = Settings(Path(), pictures=False, workers=workers, batch=batch)
        self._images = open_images(settings, {"weights": weights, **options})

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The detections in a batch.

        Args:
            batch: Its column ``path`` names images, by paths or by URLs that ``ssdlite detect``
                takes.

        Returns:
            Columns with an item for each image, in order: ``path``; ``labels``, class names,
            ``scores`` and ``boxes``, (x0, y0, x1, y1) in pixels of the image, each a list with an
            item for each detection, highest score first; ``failure``: why the image cannot be read,
            or None.
        """
        paths = [str(path) for path in batch["path"]]
        found: dict[str, list[Any]] = {"path": paths, "labels": [], "scores": [], "boxes": []}
        found["failure"] = []
        for _, outcome in self._images.outcomes(map(image_input, paths)):
            items = outcome.entry["detections"] if outcome.entry else []
            found["labels"].append([item["label"] for item in items])
            found["scores"].append([item["score"] for item in items])
            found["boxes"].append([item["box"] for item in items])
            found["failure"].append(None if outcome.entry else str(outcome.failure))
        return found


def open_images(settings: Settings, options: Mapping[str, Any]) -> ImageDetector:
    """Load a detector of one thread for each of the images in progress.

    Args:
        settings: What to write, and the sizes of batches and pools.
        options: Arguments of `vision.Detector.load`.

    Raises:
        WeightsError: As `vision.Detector.load`.
        ConfigError: As `vision.Detector.load`.
    """
    cv2.setNumThreads(0)
    detector = Detector.load(**{"threads": 1, **options, "streams": settings.workers})
    return ImageDetector(detector, settings)
