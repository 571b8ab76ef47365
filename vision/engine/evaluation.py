"""Evaluate a detector on a data set, with VOC and COCO metrics, and select the best weights."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch

from vision.choices import CocoEngine
from vision.config import Config
from vision.data import (
    DetectionDataset,
    Loader,
    check_known,
    describe,
    irregularities,
    make_loader,
    read_sources,
)
from vision.detections import Detections
from vision.detector import Detector
from vision.engine.distributed import SINGLE_PROCESS, Processes
from vision.engine.spelling import spell_like
from vision.metrics import Metrics, evaluate_detections
from vision.metrics.analysis import Analysis
from vision.model import PostProcess, SSDLite
from vision.progress import progress
from vision.runtime import RuntimeOptions

logger = logging.getLogger(__name__)

HEADLINE = ("voc.mAP50", "coco.AP")
"""The two metrics that the log, TensorBoard and messages show."""
SCORE_STEP = 1e-4
"""Best thresholds are rounded down to multiples of it, since scores must exceed a threshold."""


class Evaluation(NamedTuple):
    """Metrics of a detector, and its detections in each image."""

    metrics: Metrics
    detections: list[Detections]


class Results(NamedTuple):
    """An evaluation, its data set, and the number of irregularities of each kind in the data."""

    metrics: Metrics
    detections: list[Detections]
    dataset: DetectionDataset
    irregularities: dict[str, int]


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Evaluates networks on the validation data of a run.

    Attributes:
        loader: This process's part of the data.
        post_process: Turns the network's output into detections.
        names: Class names in label order.
        device: The device that the network runs on.
        processes: The processes that evaluate together.
    """

    loader: Loader
    post_process: PostProcess
    names: Sequence[str]
    device: torch.device
    processes: Processes

    @property
    def dataset(self) -> DetectionDataset:
        """The validation data of all processes."""
        return self.loader.dataset

    def __call__(self, model: SSDLite) -> Evaluation:
        """Evaluate a network."""
        options = RuntimeOptions(device=str(self.device))
        detector = Detector.from_model(model, self.post_process, self.names, options=options)
        return evaluate(detector, self.loader, processes=self.processes)


def evaluate(
    detector: Detector,
    loader: Loader,
    classes: Sequence[str] | None = None,
    *,
    processes: Processes = SINGLE_PROCESS,
    engine: CocoEngine = "faster",
) -> Evaluation:
    """Evaluate a detector on a loader's images; boxes are in pixels of the original images.

    Args:
        detector: A detector with a low score threshold, as average precision needs.
        loader: Batches in the order of its data set.
        classes: Class names to evaluate, by default all; detections of others are left out.
        processes: The processes that share the images; all return the same result.
        engine: The implementation that computes COCO's metrics.
    """
    targets, names = loader.dataset.targets, detector.names
    detections = processes.gather(detect_all(detector, loader), len(targets))
    if classes is not None and list(classes) != list(names):
        is_evaluated = torch.tensor([name in classes for name in names])
        detections = [each[is_evaluated[each.labels]] for each in detections]
    metrics = None
    if processes.is_first:
        metrics = evaluate_detections(detections, targets, names, engine=engine)
    metrics = processes.broadcast(metrics)
    assert metrics is not None
    return Evaluation(metrics, detections)


def detect_all(detector: Detector, loader: Loader) -> list[Detections]:
    """Return the detections in each image of a loader, in its original pixels, on the CPU."""
    detections: list[Detections] = []
    if detector.tiles != 1:
        for indices in progress(loader.batch_sampler, "evaluate"):
            found = detector([loader.dataset.records[index].load() for index in indices])
            detections += [replace(one, image=None) for one in found]
        return detections
    for batch in progress(loader, "evaluate"):
        detections += detector.detect_batch(batch.images, [target.size for target in batch.targets])
    return detections


def evaluate_detector(
    detector: Detector, config: Config, *, engine: CocoEngine = "faster"
) -> Results:
    """Evaluate a detector on ``config.data.val``; VOC's and COCO's names of a class are equivalent.

    Args:
        detector: The detector; its score threshold is ignored, since it would truncate the curves.
        config: The configuration, for ``data``, batch size and number of workers.
        engine: The implementation that computes COCO's metrics.

    Raises:
        ConfigError: If ``data.val`` is not set.
        DataError: If the data cannot be read, or have classes that the detector does not know.
    """
    names = detector.names
    annotations, data = spell_like(names, read_sources(config.data.val, "data.val"), config.data)
    check_known(names, data, annotations, "data.val")
    classes = data.classes or names
    split = getattr(config.data.val, "split", None) or "val"
    for line in describe(annotations, classes, split):
        logger.info(line)
    size = detector.image_size
    dataset = DetectionDataset(annotations.records, names, size, classes=data.classes)
    loader = make_loader(dataset, config.train.batch_size, config.train.workers)
    tiles = detector.tiles
    detector = Detector(detector.session, detector.post_process, names)
    detector.tiles = tiles
    evaluation = evaluate(detector, loader, classes, engine=engine)
    return Results(*evaluation, dataset, irregularities(annotations, classes))


def best_thresholds(analysis: Analysis) -> dict[str, float]:
    """Return the score threshold with the highest F1, by name, for each class that has one."""
    pairs = zip(analysis.metrics.names, analysis.thresholds, strict=True)
    steps = {name: math.ceil(best.score / SCORE_STEP) - 1 for name, best in pairs if best}
    return {name: round(max(0, step) * SCORE_STEP, 4) for name, step in steps.items()}


def headline(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the two metrics of `HEADLINE`, from the result of `Metrics.to_dict`."""
    return dict(zip(HEADLINE, (metrics["voc"]["mAP50"], metrics["coco"]["AP"]), strict=True))


def selection_score(metrics: Mapping[str, Any], start: Mapping[str, Any] | None) -> float:
    """Return the value by which the best weights are selected: the mean of voc.mAP50 and coco.AP.

    Weights that are worse than the initial ones in either metric rank below all others: 1 is
    subtracted. The value is minus infinity if the validation data have no box.

    Args:
        metrics: Metrics of the weights, as `Metrics.to_dict` returns them.
        start: Metrics of the weights before the first step, if they were evaluated.
    """
    voc, coco = headline(metrics).values()
    if voc is None or coco is None:
        return -math.inf
    value = (voc + coco) / 2
    if start is not None:
        voc_before, coco_before = headline(start).values()
        value -= voc < (voc_before or 0) or coco < (coco_before or 0)
    return value


def describe_values(values: Mapping[str, Any]) -> str:
    """Format both metrics of `HEADLINE`."""
    return ", ".join(f"{key} {describe_number(values[key])}" for key in HEADLINE)


def describe_number(value: float | None) -> str:
    """Format an average precision."""
    return "undefined" if value is None else f"{value:.3f}"
