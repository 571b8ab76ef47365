"""Starting a network from weights that were trained on other classes or by another project."""

# A priors of a cell, C classes

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from vision.config import ModelConfig
from vision.model.presets import PRESETS
from vision.model.ssdlite import SSDLite
from vision.model.weights.file import SavedDetector, load_any
from vision.model.weights.labels import canonical
from vision.model.weights.roles import class_keys
from vision.model.weights.sources import FOLDED, convert

__all__ = ["start_from"]

IMAGENET = "imagenet"
IMAGENET_WEIGHTS = "IMAGENET1K_V2"
FOLDED_NORMS = (
    "the weights' norms are folded and lost their statistics, so that the first steps undo what"
    " they know; ssdlite convert with --images gives them statistics again"
)
NOT_WEIGHTS = ("pixel_mean", "pixel_std", "num_batches_tracked")


class Start(NamedTuple):
    """What a start from weights came to.

    Attributes:
        lines: What was taken, matched and left out, for a person.
        origin: The file, and what it says of where it comes from.
    """

    lines: list[str]
    origin: str


def start_from(model: SSDLite, config: ModelConfig, names: Sequence[str], init: str) -> Start:
    """Fill a network from weights: the trunk, all tensors of equal shape, and classes by name.

    The rows of the class heads are taken class by class, background included, where both sides
    have as many priors a cell; VOC's and COCO's names for the same are the same. What finds no
    counterpart keeps its fresh values.

    Args:
        model: The network; changed in place.
        config: Its configuration.
        names: Its class names.
        init: A weights file, or ``imagenet`` for torchvision's trunk.

    Returns:
        What was taken, matched and left out, and where it comes from.

    Raises:
        WeightsError: If the weights cannot be read, or fetched.
    """
    saved = convert("torchvision", IMAGENET_WEIGHTS) if init == IMAGENET else load_any(Path(init))
    if isinstance(saved, SavedDetector):
        tensors, their_config = saved.model.state_dict(), saved.config.model
        their_names = saved.names
    else:
        tensors, their_config, their_names = saved.tensors, saved.config, list[str]()
    are_others = config.name != their_config.name
    if are_others:  # Heads of the same place look at other maps.
        tensors = {key: value for key, value in tensors.items() if "_heads." not in key}
        their_names = []
    state = model.state_dict()
    heads = set(class_keys(model))
    weights = [key for key in state if not key.endswith(NOT_WEIGHTS)]
    taken = {
        key
        for key in weights
        if key not in heads and key in tensors and tensors[key].shape == state[key].shape
    }
    state |= {key: tensors[key] for key in taken}
    matched, unlike = _match_classes(state, tensors, heads, names, their_names)
    model.load_state_dict(state)
    fresh = [key for key in weights if key not in taken and key not in heads]
    unused = [key for key in tensors if key not in taken | heads and not key.endswith(NOT_WEIGHTS)]
    lines = [
        (
            f"start from {init}: {len(taken)} of {len(weights) - len(heads)} tensors outside the"
            f" class heads taken; fresh: {_listed(fresh)}; left out: {_listed(unused)}"
        ),
        *(
            [f"heads: fresh, since the weights are of {their_config.name}"]
            if are_others
            else _describe_classes(matched, unlike, names, their_names)
        ),
        *_differences(config, their_config),
        *([FOLDED_NORMS] if saved.training.get("norms") == FOLDED else []),
    ]
    known = {key: saved.training.get(key) for key in ("start", "source", "file", "licence")}
    facts = "; ".join(f"{key} {value}" for key, value in known.items() if value)
    return Start(lines, f"{init} ({facts})" if facts else init)


def _match_classes(
    state: dict[str, Tensor],
    tensors: Mapping[str, Tensor],
    heads: set[str],
    names: Sequence[str],
    their_names: Sequence[str],
) -> tuple[list[str], list[str]]:
    """Fill the rows of classes that both sides know.

    Returns:
        Names of those classes, and the heads left fresh for their other priors or channels.
    """
    rows = {canonical(name): row for row, name in enumerate(their_names)}
    pairs = [
        (row, rows[canonical(name)]) for row, name in enumerate(names) if canonical(name) in rows
    ]
    filled, unlike = False, set[str]()
    for key in sorted(heads):
        if not their_names or key not in tensors:
            continue
        ours = state[key].reshape(-1, len(names) + 1, *state[key].shape[1:]).clone()
        theirs = tensors[key].reshape(-1, len(their_names) + 1, *tensors[key].shape[1:])
        if len(ours) != len(theirs) or ours.shape[2:] != theirs.shape[2:]:
            unlike.add(".".join(key.split(".")[:2]))
            continue
        filled = True
        for to, source in [*pairs, (len(names), len(their_names))]:
            ours[:, to] = theirs[:, source]
        state[key] = ours.flatten(0, 1)
    return [names[row] for row, _ in pairs] if filled else [], sorted(unlike)


def _describe_classes(
    matched: Sequence[str],
    unlike: Sequence[str],
    names: Sequence[str],
    their_names: Sequence[str],
) -> list[str]:
    if not their_names:
        return ["classes: the weights have none, so all class heads are fresh"]
    fresh = [name for name in names if name not in matched]
    matches = f"classes matched by name: {', '.join(matched) or 'none'}"
    lines = [f"{matches}; fresh: {', '.join(fresh) or 'none'}"]
    if unlike:
        lines.append(f"fresh for all classes, of other priors or channels: {', '.join(unlike)}")
    return lines


def _differences(ours: ModelConfig, theirs: ModelConfig) -> list[str]:
    """What the weights were trained with and the network does otherwise."""
    first, second = PRESETS[ours.preset], PRESETS[theirs.preset]
    differing = [
        name
        for name in ("padding", "norm_eps", "pixel_mean", "pixel_std", "tap", "scores")
        if getattr(first, name) != getattr(second, name)
    ]
    if not differing:
        return []
    return [
        (
            f"the weights were trained with another {', '.join(differing)}; model.preset="
            f"{theirs.preset} keeps them"
        )
    ]


def _listed(keys: Sequence[str]) -> str:
    """A few words on many keys: the parts of the network that they belong to, with counts."""
    parts = [key.split(".")[0] for key in keys]
    return ", ".join(f"{parts.count(part)} of {part}" for part in sorted(set(parts))) or "none"
