"""Weights of other projects, turned into a weights file of ours.

A source is a file format, a key map and a preset. The network is built from the preset; each of its
layers is filled from the source's tensor of the same role, so that nothing is left over and
nothing is missing without an error that says so.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from vision.config import WIDTH_MULTS, Config, ModelConfig
from vision.convert.classes import class_names, count_classes
from vision.convert.layout import Source
from vision.convert.roles import BACKBONE_PARTS, Layer, Role, layers
from vision.errors import WeightsError
from vision.model.build import build_model
from vision.model.head import select_classes
from vision.model.ssdlite import SSDLite
from vision.weights.file import SavedBackbone, SavedDetector

MAX_LISTED = 5
"""Keys of a kind that an error names."""
KINDS = ("mi", "un")  # missing, unknown


NORM_PARTS = ("weight", "bias", "running_mean", "running_var")


def convert_detector(
    source: Source, tensors: Mapping[str, Tensor], path: Path, labels: Path | None
) -> SavedDetector:
    """A detector of ours from a source's tensors.

    Args:
        source: How to understand them.
        tensors: By the source's keys, convolutions as (out, in / groups, height, width).
        path: Where they come from, for messages.
        labels: The file of class names; without it the names of COCO or VOC by their number.

    Raises:
        WeightsError: If keys are missing, unknown or of another shape, or the names do not fit.
    """
    num_slots = count_classes(source, tensors, path)
    names = class_names(source, num_slots, labels, path)
    model, config = _build(source, tensors, num_slots)
    _refuse(fill(model, source, tensors), source, path)
    if len(names) < num_slots:
        state = select_classes(model, [number - 1 for number in sorted(names)])
        model = build_model(config, len(names))
        model.load_state_dict(state)
    training = {"source": source.name, "file": path.name, "licence": source.licence}
    unnamed = sorted(set(range(1, num_slots + 1)) - set(names))
    if unnamed:
        training["left out"] = (
            f"{len(unnamed)} of {num_slots} classes without a name: {', '.join(map(str, unnamed))}"
        )
    ordered = [names[number] for number in sorted(names)]
    return SavedDetector(model.eval(), Config(model=config), ordered, training)


def convert_backbone(source: Source, tensors: Mapping[str, Tensor], path: Path) -> SavedBackbone:
    """A backbone of ours from a source's classifier, whose own last layers are left out.

    Raises:
        WeightsError: As `convert_detector`.
    """
    model, config = _build(source, tensors, 1)
    _refuse(fill(model, source, tensors), source, path)
    tensors = model.backbone.state_dict(prefix="backbone.")
    training = {"source": source.name, "file": path.name, "licence": source.licence}
    return SavedBackbone(tensors, config, training)


def _refuse(problems: list[str], source: Source, path: Path) -> None:
    if not problems:
        return
    kinds: dict[str, list[str]] = {}
    for problem in problems:
        kinds.setdefault(problem.split()[0] if problem[:2] in KINDS else "other", []).append(
            problem
        )
    parts = []
    for found in kinds.values():
        parts += found[:MAX_LISTED]
        if len(found) > MAX_LISTED:
            parts.append(f"and {len(found) - MAX_LISTED} more such")
    raise WeightsError(f"{path} is no {source.backbone} of {source.name}: {'; '.join(parts)}")


def fill(model: SSDLite, source: Source, tensors: Mapping[str, Tensor]) -> list[str]:
    """Fill a network from a source's tensors; what is missing, unknown or of another shape."""
    state, problems, used = model.state_dict(), list[str](), set[str]()
    for layer in layers(model):
        if source.backbone_only and layer.role.part not in BACKBONE_PARTS:
            continue
        for ours, theirs in _pairs(source, layer):
            used.add(theirs)
            if theirs not in tensors:
                problems.append(f"missing {theirs}")
                continue
            value = _arrange(source, layer.role, tensors[theirs], model)
            if value.shape != state[ours].shape:
                problems.append(
                    f"{theirs} has the shape {tuple(tensors[theirs].shape)}, as {ours} it would be"
                    f" {tuple(value.shape)}, not {tuple(state[ours].shape)}"
                )
                continue
            if not bool(value.isfinite().all()):
                problems.append(f"{theirs} holds numbers that are not finite")
            state[ours] = value.float()
    problems += [f"unknown {key}" for key in tensors if key not in used]
    if not problems:
        model.load_state_dict(state)
    return problems


def _pairs(source: Source, layer: Layer) -> list[tuple[str, str]]:
    """(our key, their key) of each tensor of a layer."""
    conv = source.conv(layer.role)
    pairs = [(f"{layer.conv}.weight", source.weight(conv, layer.role))]
    if layer.is_biased:
        pairs.append((f"{layer.conv}.bias", conv + source.bias))
    if layer.norm is not None:
        norm = source.norm(layer.role)
        pairs += [
            (f"{layer.norm}.{ours}", norm + theirs)
            for ours, theirs in zip(NORM_PARTS, source.norm_parts, strict=True)
        ]
    return pairs


def _arrange(source: Source, role: Role, value: Tensor, model: SSDLite) -> Tensor:
    """The rows of a prediction layer in our order: prior by prior, background last, x before y."""
    if role.step != "predict" or not value.ndim:
        return value
    is_box = role.part == "box_head"
    size = 4 if is_box else model.num_classes + 1
    if len(value) % size:
        return value  # the shape will be complained of
    rows = value.reshape(-1, size, *value.shape[1:])
    order = source.prior_order.get(len(rows))
    if order is not None:
        rows = rows[list(order)]
    if is_box:
        rows = rows[:, list(source.box_order)]
    elif source.background_first:
        rows = rows.roll(-1, dims=1)
    return rows.flatten(0, 1)


def _build(
    source: Source, tensors: Mapping[str, Tensor], num_slots: int
) -> tuple[SSDLite, ModelConfig]:
    """The source's network, of the width multiplier that its tensors fit best."""
    best: tuple[int, SSDLite, ModelConfig] | None = None
    widths = sorted(WIDTH_MULTS, key=lambda width: width != 1.0)
    for width in widths:
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
        wrong = _misfits(model, source, tensors)
        if best is None or wrong < best[0]:
            best = (wrong, model, config)
        if not wrong:
            break
    assert best is not None
    return best[1], best[2]


def _misfits(model: SSDLite, source: Source, tensors: Mapping[str, Tensor]) -> int:
    """Weights of another shape than the network's."""
    state = model.state_dict()
    wrong = 0
    for layer in layers(model):
        if layer.role.part not in BACKBONE_PARTS and source.backbone_only:
            continue
        ours, theirs = _pairs(source, layer)[0]
        wrong += theirs in tensors and tensors[theirs].shape != state[ours].shape
    return wrong
