"""Starting a network from weights that were trained on other classes or by another project."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from vision.model.head import by_class, class_keys
from vision.model.ssdlite import SSDLite
from vision.weights.file import SavedBackbone, SavedDetector
from vision.weights.labels import canonical

FOLDED_NORMS = (
    "the weights' norms are folded and lost their statistics, so that the first steps undo what"
    " they know; ssdlite convert with --images gives them statistics again"
)
NOT_WEIGHTS = ("pixel_mean", "pixel_std", "num_batches_tracked")
RARE = -4.6
"""Bias of a class that nothing is known of: a sigmoid of .01 (arXiv 1708.02002, section 4.1)."""
SILENT = -12.0
"""Bias of a class that is never to be found."""


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


def _listed(keys: Sequence[str]) -> str:
    """A few words on many keys: the parts of the network that they belong to, with counts."""
    parts = [key.split(".")[0] for key in keys]
    return ", ".join(f"{parts.count(part)} of {part}" for part in sorted(set(parts))) or "none"
