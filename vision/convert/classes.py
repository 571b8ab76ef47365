"""The number of classes of a checkpoint, and their names."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from vision.convert.layout import CheckpointLayout, Role
from vision.errors import WeightsError
from vision.weights.labels import COCO_NAMES, VOC_NAMES, read_labels


def count_classes(source: CheckpointLayout, tensors: Mapping[str, Tensor], path: Path) -> int:
    """Count the classes without background, from the second level's class and box heads."""
    sizes = []
    for part in ("class_head", "box_head"):
        role = Role(part, 1, "predict")
        key = source.weight(source.conv(role), role)
        if key not in tensors:
            raise WeightsError(
                f"{path} is not an SSDLite of {source.name}: it has no {key}; check the source"
            )
        sizes.append(len(tensors[key]) if tensors[key].ndim else 0)
    classes, coordinates = sizes
    if (
        not coordinates
        or coordinates % 4
        or classes % (coordinates // 4)
        or classes // (coordinates // 4) < 2
    ):
        raise WeightsError(
            f"{path}: heads of {classes} and {coordinates} rows fit no number of priors"
        )
    return classes // (coordinates // 4) - 1


def class_names(
    source: CheckpointLayout, num_slots: int, labels: Path | None, path: Path
) -> dict[int, str]:
    """Return class names by number, from 1; numbers without a name are classes never trained."""
    if labels is None:
        known = {
            90: COCO_NAMES,
            80: dict(enumerate(COCO_NAMES.values(), 1)),
            20: dict(enumerate(VOC_NAMES, 1)),
        }
        if num_slots not in known:
            raise WeightsError(
                f"{path} has {num_slots} classes without names; name them with --labels FILE"
            )
        return known[num_slots]
    names = read_labels(labels)
    may_have_gaps = source.name == "tensorflow" and labels.suffix.lower() == ".pbtxt"
    if max(names) > num_slots or (not may_have_gaps and len(names) != num_slots):
        raise WeightsError(
            f"labels {labels} name {len(names)} classes up to number {max(names)}, but {path} has"
            f" {num_slots}"
        )
    if len(set(names.values())) < len(names):
        raise WeightsError(f"labels {labels} name a class twice")
    return names
