"""Conversion of other projects' weights to detectors and backbones of ours.

The network is built from the source's preset, and each of its layers is filled from the tensor of
the same role, so that an error names whatever is missing or left over.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from vision.config import WIDTH_MULTS, Config, ModelConfig
from vision.convert.classes import class_names, count_classes
from vision.convert.layout import BACKBONE_PARTS, NORM_PARTS, CheckpointLayout, Role, layers
from vision.errors import WeightsError
from vision.model.build import build_model
from vision.model.ssdlite import SSDLite
from vision.weights.class_rows import select_classes
from vision.weights.file import SavedBackbone, SavedDetector

MAX_LISTED = 5
"""Maximum number of keys of each kind that an error names."""


def convert_detector(
    source: CheckpointLayout, tensors: Mapping[str, Tensor], path: Path, labels: Path | None
) -> SavedDetector:
    """Convert a source's tensors to a detector.

    Args:
        source: The layout of the source's checkpoints.
        tensors: Tensors by the source's keys, convolutions as (out, in / groups, height, width).
        path: The file of the tensors, for messages.
        labels: The file of class names; by default the names of COCO or VOC, by their number.

    Raises:
        WeightsError: If keys are missing, unknown or of another shape, or the names do not fit.
    """
    num_slots = count_classes(source, tensors, path)
    names = class_names(source, num_slots, labels, path)
    model, config = _build(source, tensors, num_slots, path)
    numbers = sorted(names)
    training = {"source": source.name, "file": path.name, "licence": source.licence}
    unnamed = sorted(set(range(1, num_slots + 1)) - set(names))
    if unnamed:
        state = select_classes(model, [number - 1 for number in numbers])
        model = build_model(config, len(names))
        model.load_state_dict(state)
        training["left out"] = (
            f"{len(unnamed)} of {num_slots} classes without a name: {', '.join(map(str, unnamed))}"
        )
    ordered = [names[number] for number in numbers]
    return SavedDetector(model.eval(), Config(model=config), ordered, training)


def convert_backbone(
    source: CheckpointLayout, tensors: Mapping[str, Tensor], path: Path
) -> SavedBackbone:
    """Convert a source's classifier, without its last layers, to a backbone.

    Raises:
        WeightsError: As in `convert_detector`.
    """
    model, config = _build(source, tensors, 1, path)
    training = {"source": source.name, "file": path.name, "licence": source.licence}
    return SavedBackbone(model.backbone.state_dict(prefix="backbone."), config, training)


def _build(
    source: CheckpointLayout, tensors: Mapping[str, Tensor], num_slots: int, path: Path
) -> tuple[SSDLite, ModelConfig]:
    """Build and fill the source's network, with the width multiplier that the tensors fit.

    Raises:
        WeightsError: If they fit none; it lists the problems of the width with the fewest.
    """
    attempts = []
    for width in sorted(WIDTH_MULTS, key=lambda width: width != 1.0):
        config = ModelConfig.model_validate(
            {
                "backbone": source.backbone,
                "preset": source.preset,
                "image_size": source.image_size,
                "width_mult": width,
                "postprocess": dict(source.postprocess),
            }
        )
        model = build_model(config, num_slots)
        problems = _fill(model, source, tensors)
        if not problems:
            return model, config
        attempts.append(problems)
    fewest = min(attempts, key=lambda problems: sum(map(len, problems.values())))
    listed = []
    for kind, keys in fewest.items():
        more = f" and {len(keys) - MAX_LISTED} more" if len(keys) > MAX_LISTED else ""
        listed.append(f"{kind} {', '.join(keys[:MAX_LISTED])}{more}")
    raise WeightsError(f"{path} is not a {source.backbone} of {source.name}: {'; '.join(listed)}")


def _fill(
    model: SSDLite, source: CheckpointLayout, tensors: Mapping[str, Tensor]
) -> dict[str, list[str]]:
    """Fill a network from a source's tensors if all fit; otherwise return each problem's keys."""
    state, problems, used = model.state_dict(), defaultdict[str, list[str]](list), set[str]()
    for role, ours, theirs in _pairs(source, model):
        used.add(theirs)
        if theirs not in tensors:
            problems["missing"].append(theirs)
            continue
        value = _arrange(source, role, tensors[theirs], model)
        if value.shape != state[ours].shape:
            shapes = f"{tuple(value.shape)}, not {tuple(state[ours].shape)}"
            problems["of another shape"].append(f"{theirs} {shapes}")
        elif not bool(value.isfinite().all()):
            problems["not finite"].append(theirs)
        state[ours] = value.float()
    unknown = [key for key in tensors if key not in used]
    if unknown:
        problems["unknown"] = unknown
    if not problems:
        model.load_state_dict(state)
    return problems


def _pairs(source: CheckpointLayout, model: SSDLite) -> Iterator[tuple[Role, str, str]]:
    """Yield (role, our key, their key) of each tensor that the source has."""
    for layer in layers(model):
        if source.backbone_only and layer.role.part not in BACKBONE_PARTS:
            continue
        conv = source.conv(layer.role)
        yield layer.role, f"{layer.conv}.weight", source.weight(conv, layer.role)
        if layer.is_biased:
            yield layer.role, f"{layer.conv}.bias", conv + source.bias
        if layer.norm is not None:
            for ours, theirs in zip(NORM_PARTS, source.norm_parts, strict=True):
                yield layer.role, layer.norm + ours, source.norm(conv) + theirs


def _arrange(source: CheckpointLayout, role: Role, value: Tensor, model: SSDLite) -> Tensor:
    """Put a prediction layer's rows in our order: prior by prior, background last, x before y."""
    if role.step != "predict" or not value.ndim:
        return value
    is_box = role.part == "box_head"
    size = 4 if is_box else model.num_classes + 1
    if len(value) % size:
        return value  # `_fill` reports the shape
    rows = value.reshape(-1, size, *value.shape[1:])
    order = source.prior_order.get(len(rows))
    if order is not None:
        rows = rows[list(order)]
    if is_box:
        rows = rows[:, list(source.box_order)]
    elif source.background_first:
        rows = rows.roll(-1, dims=1)
    return rows.flatten(0, 1)
