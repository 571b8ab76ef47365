"""Evaluation: a model over a data set, both families of metrics."""

import logging
from collections.abc import Sequence

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from vision.config import Config
from vision.data import (
    DetectionDataset,
    Sample,
    check_known,
    describe,
    make_loader,
    read_sources,
)
from vision.engine.distributed import Processes
from vision.metrics import Metrics, evaluate_detections
from vision.model import PostProcess, SSDLite, build_post_process, fuse
from vision.model.weights import SavedDetector
from vision.predict import choose_device
from vision.structures import Batch, Detections

__all__ = ["detect_all", "evaluate", "evaluate_saved"]

logger = logging.getLogger(__name__)


def evaluate(
    model: SSDLite,
    post_process: PostProcess,
    loader: DataLoader[Sample],
    names: Sequence[str],
    classes: Sequence[str] | None = None,
    *,
    processes: Processes = Processes(),  # noqa: B008
) -> tuple[Metrics, list[Detections]]:
    """Metrics and detections of a model over a loader's images, in their own pixels.

    The model runs in float32 with its norms folded, as `vision.predict.Detector` runs it.

    Args:
        model: The network, on the device to run on; it is not changed.
        post_process: From its predictions to detections.
        loader: Batches in the order of its data set.
        names: Class names in label order.
        classes: Those to be judged, if not all; detections of others are left aside.
        processes: Among which the loader's images are shared out; all get the same answer.
    """
    dataset = loader.dataset
    assert isinstance(dataset, DetectionDataset)
    targets = dataset.targets
    found = processes.interleave(detect_all(model, post_process, loader), len(targets))
    if classes is not None and list(classes) != list(names):
        judged = torch.tensor([name in classes for name in names])
        found = [detections[judged[detections.labels]] for detections in found]
    metrics = evaluate_detections(found, targets, names) if processes.is_first else None
    shared = processes.share(metrics)
    assert shared is not None
    return shared, found


def detect_all(
    model: SSDLite, post_process: PostProcess, loader: DataLoader[Sample]
) -> list[Detections]:
    """Detections of each image of a loader, in its own pixels, on the CPU."""
    network = fuse(model).to(memory_format=torch.channels_last)
    device = model.priors.device
    found: list[Detections] = []
    with torch.inference_mode():
        for batch in tqdm(loader, desc="evaluate", leave=False, dynamic_ncols=True, disable=None):
            assert isinstance(batch, Batch)
            predictions = network(batch.to(device).images)
            sizes = [target.size for target in batch.targets]
            found += [one.to("cpu") for one in post_process(predictions, sizes)]
    return found


def evaluate_saved(saved: SavedDetector, config: Config) -> Metrics:
    """Evaluate a weights file on ``config.data.val``.

    Args:
        saved: The weights; they decide the network, its size and its classes.
        config: Where the data are, and on what device and in what batches to run.

    Raises:
        ConfigError: If there are no data to evaluate on, or no such device.
        DataError: If the data cannot be read, or have classes that the weights do not know.
    """
    annotations = read_sources(config.data.val, "data.val")
    check_known(saved.names, config.data, annotations, "data.val")
    classes = config.data.classes or saved.names
    for line in describe(annotations, classes, "val"):
        logger.info(line)
    dataset = DetectionDataset(
        annotations.records, saved.names, saved.model.image_size, classes=config.data.classes
    )
    loader = make_loader(dataset, config.train.batch_size, config.train.workers)
    model = saved.model.to(choose_device(config.train.device))
    post_process = build_post_process(saved.config.model, model)
    metrics, _ = evaluate(model, post_process, loader, saved.names, classes)
    return metrics
