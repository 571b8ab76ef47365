"""The checks of the input that all metrics share."""

from collections.abc import Sequence

import numpy as np

from vision.detections import Detections
from vision.metrics.tables import DetectionTable, TargetTable
from vision.structures import Target


def check_inputs(
    detections: Sequence[Detections], targets: Sequence[Target], num_classes: int
) -> tuple[DetectionTable, TargetTable]:
    """Convert detections and targets to tables, and check that they can be compared.

    Raises:
        ValueError: If the two differ in length, a label is out of range, or the detections and the
            target of an image refer to different image sizes.
    """
    if len(detections) != len(targets):
        raise ValueError(
            f"expected one Detections for each Target, got {len(detections)} Detections and"
            f" {len(targets)} Targets"
        )
    found, truth = DetectionTable.of(detections), TargetTable.of(targets)
    _check_labels(found, "detections[{index}]", num_classes)
    _check_labels(truth, "targets[{index}] ({image_id!r})", num_classes)
    for index, (size, true_size) in enumerate(zip(found.sizes, truth.sizes, strict=True)):
        if size is not None and true_size not in {(0, 0), size}:
            raise ValueError(
                f"detections[{index}] refer to an image of (height, width) {size}, their"
                f" target to one of {true_size}; convert them with Detections.scale_to"
            )
    return found, truth


def _check_labels(table: DetectionTable | TargetTable, owner: str, num_classes: int) -> None:
    wrong = np.flatnonzero((table.labels < 0) | (table.labels >= num_classes))
    if len(wrong):
        index = int(table.images[wrong[0]])
        image_id = table.image_ids[index] if isinstance(table, TargetTable) else None
        raise ValueError(
            f"{owner.format(index=index, image_id=image_id)}.labels: expected 0 to"
            f" {num_classes - 1} ({num_classes} classes), got {int(table.labels[wrong[0]])}"
        )
