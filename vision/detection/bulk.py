"""Detection in batches of images that another engine, such as Ray Data, provides."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2

from vision.detection.images import ImageDetector
from vision.detection.settings import Settings
from vision.detector import Detector
from vision.media import image_input


class BulkDetector:
    """Detects objects in batches of images, for use with ``map_batches`` of Ray Data.

    Images are read while others are in the network. The detections are the same as those of
    ``ssdlite detect``.

    Args:
        weights: As for `vision.Detector.load`.
        workers: Number of threads; use the number of CPUs that a worker of the engine has.
        batch: Number of images in each call of the network; use more than 1 for GPUs.
        **options: Other arguments of `vision.Detector.load`, such as ``score``.

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
        """Detect objects in a batch of images.

        Args:
            batch: Columns by name; ``path`` holds the paths of the images, or URLs that
                ``ssdlite detect`` accepts.

        Returns:
            Columns with one item per image, in order: ``path``; ``labels`` (class names),
            ``scores`` and ``boxes`` ((x0, y0, x1, y1) in pixels of the image), each a list with one
            item per detection, highest score first; and ``failure``, the reason why the image
            cannot be read, or None.
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
    """Load a detector for ``settings.workers`` calls at once, each of one thread by default.

    Args:
        settings: What to write, the batch size and the number of threads.
        options: Arguments of `vision.Detector.load`.

    Raises:
        WeightsError: As `vision.Detector.load`.
        ConfigError: As `vision.Detector.load`.
    """
    cv2.setNumThreads(0)
    detector = Detector.load(**{"threads": 1, **options, "streams": settings.workers})
    return ImageDetector(detector, settings)
