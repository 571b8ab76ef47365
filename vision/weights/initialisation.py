"""Starting a network from weights that were trained on other classes or by another project."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vision.config import PRIOR_SIDES, ModelConfig, config_from_dict
from vision.model.head import by_class, class_keys
from vision.model.ssdlite import SSDLite
from vision.weights.file import SavedBackbone, SavedDetector
from vision.weights.labels import canonical

__all__ = ["Start", "interpolate", "match_network", "silence_classes", "start_from"]

FOLDED_NORMS = (
    "the weights' norms are folded and lost their statistics, so that the first steps undo what"
    " they know; ssdlite convert with --images gives them statistics again"
)
NOT_WEIGHTS = ("pixel_mean", "pixel_std", "num_batches_tracked")
RARE = -4.6
"""Bias of a class that nothing is known of: a sigmoid of .01 (arXiv 1708.02002, section 4.1)."""
SILENT = -12.0
"""Bias of a class that is never to be found."""
BACKBONE_KEYS: tuple[str, ...] = ("backbone", "preset", "width_mult", "activation")
DETECTOR_KEYS: tuple[str, ...] = (*BACKBONE_KEYS, "neck", "image_size")
COSTS = {
    "backbone": "no layer fits, so that all begins afresh",
    "neck": "all but the backbone begins afresh",
    "preset": "its padding, pixels and priors differ, and much of what they know is lost",
    "width_mult": "no layer fits, so that all begins afresh",
    "activation": "what they know is blurred",
    "priors": "class and box heads must learn their boxes anew, which costs most of what they know",
}
"""What another value of a key than that of the weights costs."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a start from weights came to.

    Attributes:
        lines: What was taken, matched and left out, for a person.
        origin: The file, and what it says of where it comes from.
        known: The network's classes whose rows were taken from the weights.
    """

    lines: list[str]
    origin: str
    known: list[str]


def match_network(
    config: ModelConfig, saved: SavedBackbone | SavedDetector
) -> tuple[ModelConfig, list[str]]:
    """A configuration whose unset network keys are those that the weights were made with.

    Args:
        config: What a user has set; ``model_fields_set`` tells.
        saved: The weights that training starts from.

    Returns:
        The configuration with all keys set, and a warning for each that the user set otherwise.

    Raises:
        ConfigError: If a key that is set does not go with the weights' others.
    """
    theirs = saved.config.model if isinstance(saved, SavedDetector) else saved.config
    is_set, values = config.model_fields_set, config.model_dump(mode="json")
    source = theirs.model_dump(mode="json")
    if "backbone" in is_set and config.backbone != theirs.backbone:
        return config, [_warning("backbone", values, source)]
    has_other_neck = "neck" in is_set and config.neck != theirs.neck
    if isinstance(saved, SavedBackbone):
        keys = compared = BACKBONE_KEYS
    elif has_other_neck:
        # Presets with priors of their own have none for another neck.
        has_priors = theirs.preset in {*PRIOR_SIDES, "tensorflow"}
        keys = tuple(key for key in BACKBONE_KEYS if key != "preset" or not has_priors)
        compared = (*BACKBONE_KEYS, "neck")
    else:
        keys, compared = DETECTOR_KEYS, tuple(COSTS)
        kept = {key: values["priors"][key] for key in config.priors.model_fields_set}
        values["priors"] = source["priors"] | kept
    values |= {key: source[key] for key in keys if key not in is_set}
    warnings = [
        _warning(key, values, source)
        for key in compared
        if key in is_set and values[key] != source[key]
    ]
    return config_from_dict({"model": values}).model, warnings


def _warning(key: str, values: Mapping[str, Any], source: Mapping[str, Any]) -> str:
    return (
        f"model.{key} is {_plain(values[key])}, the weights have {_plain(source[key])}:"
        f" {COSTS[key]}; leave model.{key} out to keep theirs"
    )


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return str(value)


def start_from(
    model: SSDLite, saved: SavedBackbone | SavedDetector, names: Sequence[str], init: str
) -> Start:
    """Fill a network from weights: the backbone, all tensors of equal shape, and classes by name.

    The rows of the class heads are taken class by class, background included, where both sides
    have as many priors a cell; VOC's and COCO's names for the same are the same. A class that the
    weights do not know begins as the mean of those that they know, plus its fresh values, which
    keep several such classes apart. What else finds no counterpart keeps its fresh values.

    Args:
        model: The network; changed in place.
        saved: The weights.
        names: The network's class names.
        init: What the weights are called, for messages.

    Returns:
        What was taken, matched and left out, and where it comes from.
    """
    tensors, their_names = _comparable(model, saved)
    state = {key: value.cpu() for key, value in model.state_dict().items()}
    heads = class_keys(model)
    weights = [key for key in state if not key.endswith(NOT_WEIGHTS)]
    taken = {
        key
        for key in weights
        if key not in heads and key in tensors and tensors[key].shape == state[key].shape
    }
    state |= {key: tensors[key] for key in taken}
    known, unlike = _match_classes(state, tensors, heads, names, their_names)
    model.load_state_dict(state)
    if model.scores == "sigmoid" and (unlike or not their_names):
        _set_bias(model, unlike or heads, range(len(names)), RARE)
    fresh = [key for key in weights if key not in taken and key not in heads]
    unused = [
        key for key in tensors if key not in taken | {*heads} and not key.endswith(NOT_WEIGHTS)
    ]
    lines = [
        (
            f"start from {init}: {len(taken)} of {len(weights) - len(heads)} tensors outside the"
            f" class heads taken; fresh: {_listed(fresh)}; left out: {_listed(unused)}"
        ),
        *_describe_classes(known, unlike, names, their_names),
        *([FOLDED_NORMS] if saved.training.get("norms_folded") else []),
    ]
    facts = {key: saved.training.get(key) for key in ("start", "source", "file", "licence")}
    described = "; ".join(f"{key} {value}" for key, value in facts.items() if value)
    return Start(lines, f"{init} ({described})" if described else init, known)


def _comparable(
    model: SSDLite, saved: SavedBackbone | SavedDetector
) -> tuple[Mapping[str, Tensor], list[str]]:
    """The tensors of the weights that mean the same in the network, and the names of the classes.

    There are no names where the heads are left out: those of another backbone or neck look at other
    maps, though their shapes may be the same.
    """
    if isinstance(saved, SavedBackbone):
        return saved.tensors, []
    theirs = saved.model
    tensors = theirs.state_dict()
    if type(theirs.backbone) is not type(model.backbone):
        return {}, []
    if (theirs.neck is None) == (model.neck is None):
        return tensors, saved.names
    return {key: value for key, value in tensors.items() if "_heads." not in key}, []


def _match_classes(
    state: dict[str, Tensor],
    tensors: Mapping[str, Tensor],
    heads: Sequence[str],
    names: Sequence[str],
    their_names: Sequence[str],
) -> tuple[list[str], list[str]]:
    """Fill the rows of classes that both sides know, and begin the others as their mean.

    Returns:
        Names of those classes, and the keys left fresh for their other priors or channels.
    """
    labels = {canonical(name): label for label, name in enumerate(their_names)}
    pairs = [
        (label, labels[canonical(name)])
        for label, name in enumerate(names)
        if canonical(name) in labels
    ]
    others = sorted(set(range(len(names))) - {label for label, _ in pairs})
    filled, unlike = False, list[str]()
    for key in heads:
        if not their_names or key not in tensors:
            continue
        ours = by_class(state[key].clone(), len(names))
        theirs = by_class(tensors[key], len(their_names))
        if len(ours) != len(theirs) or ours.shape[2:] != theirs.shape[2:]:
            unlike.append(key)
            continue
        filled = True
        for to, source in [*pairs, (len(names), len(their_names))]:
            ours[:, to] = theirs[:, source]
        ours[:, others] += theirs[:, :-1].mean(dim=1, keepdim=True)
        state[key] = ours.flatten(0, 1)
    return [names[label] for label, _ in pairs] if filled else [], unlike


def _describe_classes(
    known: Sequence[str],
    unlike: Sequence[str],
    names: Sequence[str],
    their_names: Sequence[str],
) -> list[str]:
    if not their_names:
        return ["classes: the weights have no heads that fit, so all begin afresh"]
    fresh = [name for name in names if name not in known]
    begun = (
        f"fresh, begun as the mean of the {len(their_names)} known: {', '.join(fresh) or 'none'}"
    )
    lines = [f"classes that the weights know: {', '.join(known) or 'none'}; {begun}"]
    if unlike:
        heads = sorted({".".join(key.split(".")[:2]) for key in unlike})
        lines.append(f"fresh for all classes, of other priors or channels: {', '.join(heads)}")
    return lines


def silence_classes(model: SSDLite, labels: Sequence[int]) -> None:
    """Set the rows of classes that nothing teaches, so that they are never found; in place."""
    _set_bias(model, class_keys(model), labels, SILENT)
    state = model.state_dict()
    for key in class_keys(model):
        if state[key].ndim > 1:
            by_class(state[key], model.num_classes)[:, list(labels)] = 0


def _set_bias(model: SSDLite, keys: Iterable[str], labels: Sequence[int], value: float) -> None:
    """Set the biases of classes among the rows of these keys."""
    state = model.state_dict()
    for key in keys:
        if state[key].ndim == 1:
            by_class(state[key], model.num_classes)[:, list(labels)] = value


@torch.no_grad()
def interpolate(
    start: SSDLite, end: SSDLite, fraction: float, kept: Sequence[int]
) -> dict[str, Tensor]:
    """The mean of a training's first and last weights (arXiv 2109.01903, equation 1).

    Args:
        start: The network as training found it.
        end: The same network as training left it.
        fraction: Weight of the end, from 0 to 1.
        kept: Labels of the classes whose rows are the end's: those that the start did not know.

    Returns:
        A state dict of that network.
    """
    first, last = start.state_dict(), end.state_dict()
    mean = {
        key: torch.lerp(first[key], value, fraction) if value.is_floating_point() else value
        for key, value in last.items()
    }
    for key in class_keys(end):
        rows, ends = (by_class(tensors[key], end.num_classes) for tensors in (mean, last))
        rows[:, list(kept)] = ends[:, list(kept)]
    return mean


def _listed(keys: Sequence[str]) -> str:
    """A few words on many keys: the parts of the network that they belong to, with counts."""
    parts = [key.split(".")[0] for key in keys]
    return ", ".join(f"{parts.count(part)} of {part}" for part in sorted(set(parts))) or "none"
