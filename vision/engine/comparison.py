"""Run two detectors on the same data set, for the classes that both know."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from vision.config import Config
from vision.data import DetectionDataset, make_loader, read_sources
from vision.detections import Detections
from vision.detector import Detector
from vision.engine.evaluation import detect_all
from vision.engine.spelling import choose_key
from vision.errors import ConfigError, DataError, did_you_mean


class SharedResults(NamedTuple):
    """Detections of two detectors, and the data that they were made on.

    Attributes:
        detections: For each detector, the detections in each image; labels refer to ``names``.
        dataset: The data, with the boxes of the shared classes.
        names: The shared classes, in the order of the first detector, spelt as in the data.
        left_out: The classes that are left out, in three lists: those that only the first detector
            knows, those that only the second knows, and those of the data that are not shared.
    """

    detections: tuple[list[Detections], list[Detections]]
    dataset: DetectionDataset
    names: list[str]
    left_out: tuple[list[str], list[str], list[str]]


def detect_with_both(detectors: tuple[Detector, Detector], config: Config) -> SharedResults:
    """Run two detectors on ``config.data.val`` and keep the detections of shared classes.

    Names that VOC and COCO spell differently are one class (`vision.weights.labels.canonical`).

    Args:
        detectors: The detectors, each with its own image size and ``model.postprocess``.
        config: The configuration, for ``data``, batch size and number of workers; ``data.classes``
            limits the classes.

    Raises:
        ConfigError: If ``data.val`` is not set, or ``data.classes`` names a class that neither the
            detectors nor the data know.
        DataError: If the data cannot be read, or the detectors share no class.
    """
    annotations = read_sources(config.data.val, "data.val")
    counts = annotations.count()
    in_data = [name for name in annotations.names if counts[name]]
    key = choose_key(detectors[0].names, detectors[1].names, in_data)
    first, second, data, kept = (
        {key(name): name for name in names}
        for names in (
            *(detector.names for detector in detectors),
            in_data,
            config.data.classes or (),
        )
    )
    unknown = [name for own, name in kept.items() if own not in first | second | data]
    if unknown:
        known = sorted({*first.values(), *second.values(), *data.values()})
        raise ConfigError(
            f"data.classes names {unknown[0]}, which neither detector nor the data know"
            f"{did_you_mean(unknown[0], known)}"
        )
    shared = [name for name in first if name in second and (not kept or name in kept)]
    if not shared:
        raise DataError(
            "the detectors share no class"
            + (" of data.classes" if kept else "")
            + f": one knows {', '.join(first.values())}; the other {', '.join(second.values())}"
        )
    names = [data.get(name, first[name]) for name in shared]
    labels = {name: label for label, name in enumerate(shared)}
    detections, datasets = [], []
    for detector in detectors:
        datasets.append(DetectionDataset(annotations.records, names, detector.image_size))
        loader = make_loader(datasets[-1], config.train.batch_size, config.train.workers)
        new_labels = [labels.get(key(name), -1) for name in detector.names]
        detections.append([_relabel(found, new_labels) for found in detect_all(detector, loader)])
    left_out = (
        [name for own, name in first.items() if own not in second],
        [name for own, name in second.items() if own not in first],
        [name for own, name in data.items() if own not in labels],
    )
    return SharedResults((detections[0], detections[1]), datasets[0], names, left_out)


def _relabel(detections: Detections, new_labels: Sequence[int]) -> Detections:
    """Return the detections with new labels; those whose new label is negative are dropped."""
    labels = torch.tensor(new_labels)[detections.labels]
    return replace(detections, labels=labels)[labels >= 0]
