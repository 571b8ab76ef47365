"""Evaluation: a model over a data set, both families of metrics."""

import logging
from collections.abc import Sequence

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from vision.config import Config
from vision.data import DetectionDataset, Sample, check_known, describe, make_loader, read_sources
from vision.detector import Detector
from vision.engine.distributed import Processes
from vision.metrics import Metrics, evaluate_detections
from vision.structures import Batch, Detections

__all__ = ["detect_all", "evaluate", "evaluate_detector"]

logger = logging.getLogger(__name__)


def evaluate(
    detector: Detector,
    loader: DataLoader[Sample],
    classes: Sequence[str] | None = None,
    *,
    processes: Processes = Processes(),  # noqa: B008
) -> tuple[Metrics, list[Detections]]:
    """Metrics and detections over a loader's images, in their own pixels.

    Args:
        detector: With its low threshold of training, for average precision.
        loader: Batches in the order of its data set.
        classes: Those to be judged, if not all; detections of others are left aside.
        processes: Among which the loader's images are shared out; all get the same answer.
    """
    dataset = loader.dataset
    assert isinstance(dataset, DetectionDataset)
    targets, names = dataset.targets, detector.names
    found = processes.interleave(detect_all(detector, loader), len(targets))
    if classes is not None and list(classes) != list(names):
        judged = torch.tensor([name in classes for name in names])
        found = [detections[judged[detections.labels]] for detections in found]
    metrics = evaluate_detections(found, targets, names) if processes.is_first else None
    shared = processes.share(metrics)
    assert shared is not None
    return shared, found


def detect_all(detector: Detector, loader: DataLoader[Sample]) -> list[Detections]:
    """Detections of each image of a loader, in its own pixels, on the CPU."""
    found: list[Detections] = []
    for batch in tqdm(loader, desc="evaluate", leave=False, dynamic_ncols=True, disable=None):
        assert isinstance(batch, Batch)
        found += detector.detect_batch(batch.images, [target.size for target in batch.targets])
    return found


def evaluate_detector(detector: Detector, config: Config) -> Metrics:
    """Evaluate a detector on ``config.data.val``.

    Args:
        detector: Its network, image size and classes are evaluated.
        config: Where the data are, in what batches to run, and ``model.postprocess``.

    Raises:
        ConfigError: If there are no data to evaluate on.
        DataError: If the data cannot be read, or have classes that the detector does not know.
    """
    annotations = read_sources(config.data.val, "data.val")
    names = detector.names
    check_known(names, config.data, annotations, "data.val")
    classes = config.data.classes or names
    for line in describe(annotations, classes, "val"):
        logger.info(line)
    size = detector.image_size
    dataset = DetectionDataset(annotations.records, names, size, classes=config.data.classes)
    loader = make_loader(dataset, config.train.batch_size, config.train.workers)
    metrics, _ = evaluate(Detector(detector.session, config, names), loader, classes)
    return metrics
