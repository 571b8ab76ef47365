"""Checks of the input, common to all metrics."""

from collections.abc import Sequence

from jaxtyping import Int64
from torch import Tensor

from vision.structures import Detections, Target


def check_inputs(
    detections: Sequence[Detections], targets: Sequence[Target], num_classes: int
) -> None:
    """Refuse detections and targets that cannot be compared.

    Raises:
        ValueError: If the two differ in length, a label is out of range, or detections and target
            of an image refer to different image sizes.
    """
    if len(detections) != len(targets):
        raise ValueError(
            f"expected one Detections for each Target, got {len(detections)} Detections and"
            f" {len(targets)} Targets"
        )
    for index, (found, target) in enumerate(zip(detections, targets, strict=True)):
        _check_labels(f"detections[{index}]", found.labels, num_classes)
        _check_labels(f"targets[{index}] ({target.image_id!r})", target.labels, num_classes)
        if found.size is not None and target.size not in {(0, 0), found.size}:
            raise ValueError(
                f"detections[{index}] refer to an image of (height, width) {found.size}, their"
                f" target to one of {target.size}; convert them with Detections.scale_to"
            )


def _check_labels(owner: str, labels: Int64[Tensor, "n"], num_classes: int) -> None:
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if len(wrong):
        raise ValueError(
            f"{owner}.labels: expected 0 to {num_classes - 1} ({num_classes} classes), got"
            f" {int(wrong[0])}"
        )
