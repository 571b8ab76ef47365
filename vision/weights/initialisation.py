"""Initialisation of a network from weights of other classes or of another project."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from vision.model.ssdlite import SSDLite
from vision.weights.class_rows import by_class, class_keys
from vision.weights.file import SavedBackbone, SavedDetector
from vision.weights.labels import find_labels

FOLDED_NORMS = (
    "the weights' BatchNorms are folded and their statistics lost, so the first training steps"
    " lose accuracy; measure new statistics with ssdlite convert --images"
)
NOT_WEIGHTS = ("pixel_mean", "pixel_std", "num_batches_tracked")
RARE = -4.6
"""Bias of a class not yet learnt: a sigmoid of 0.01 (RetinaNet, arXiv 1708.02002, section 4.1)."""
SILENT = -12.0
"""Bias of a class that is never detected."""


@dataclass(frozen=True, slots=True)
class Start:
    """The result of `start_from`.

    Attributes:
        lines: A report of what was loaded, matched and not used.
        origin: The file, and what it records about its own origin.
        known: The network's classes whose rows were taken from the weights.
    """

    lines: list[str]
    origin: str
    known: list[str]


def start_from(
    model: SSDLite,
    saved: SavedBackbone | SavedDetector,
    names: Sequence[str],
    init: str,
    *,
    with_heads: bool = True,
) -> Start:
    """Fill a network from weights: tensors outside the class heads by shape, classes by name.

    The rows of the class heads are taken class by class, background included, if both networks have
    the same number of priors per cell; VOC's and COCO's names of a class are equivalent. A class
    that the weights lack starts from the mean of their classes plus its random values, which keep
    several such classes apart. All other tensors keep their random values.

    Args:
        model: The network; changed in place.
        saved: The weights.
        names: The network's class names.
        init: Name of the weights, for messages.
        with_heads: Whether the class and box heads are taken too.
    """
    tensors, their_names = _comparable(model, saved, with_heads=with_heads)
    state = {key: value.cpu() for key, value in model.state_dict().items()}
    heads = class_keys(model)
    weights = [key for key in state if key not in heads and not key.endswith(NOT_WEIGHTS)]
    loaded = [key for key in weights if key in tensors and tensors[key].shape == state[key].shape]
    state |= {key: tensors[key] for key in loaded}
    known, unlike = _match_classes(state, tensors, heads, names, their_names)
    model.load_state_dict(state)
    if unlike or not their_names:
        expect_few(model, unlike or heads)
    random = [key for key in weights if key not in loaded]
    unused = [
        key for key in tensors if key not in {*loaded, *heads} and not key.endswith(NOT_WEIGHTS)
    ]
    summary = (
        f"start from {init}: {len(loaded)} of {len(weights)} tensors outside the class heads"
        f" loaded; initialised at random: {_listed(random)}; not used: {_listed(unused)}"
    )
    lines = [summary, *_describe_classes(known, unlike, names, their_names)]
    if isinstance(saved, SavedDetector) and saved.norms_folded:
        lines.append(FOLDED_NORMS)
    facts = {key: saved.training.get(key) for key in ("start", "source", "file", "licence")}
    described = "; ".join(f"{key} {value}" for key, value in facts.items() if value)
    return Start(lines, f"{init} ({described})" if described else init, known)


def _comparable(
    model: SSDLite, saved: SavedBackbone | SavedDetector, *, with_heads: bool
) -> tuple[Mapping[str, Tensor], list[str]]:
    """Return the weights' tensors that have the same inputs in both networks, and class names.

    With another backbone no tensor is comparable. With another neck the heads have other inputs
    even if their shapes are equal: neck and heads are left out, and there are no class names, as
    without ``with_heads``.
    """
    if isinstance(saved, SavedBackbone):
        return saved.tensors, []
    theirs = saved.model
    tensors = theirs.state_dict()
    if type(theirs.backbone) is not type(model.backbone):
        return {}, []
    if type(theirs.neck) is type(model.neck) and with_heads:
        return tensors, saved.names
    others = theirs.head_keys()
    if type(theirs.neck) is not type(model.neck):
        others |= {key for key in tensors if key.startswith("neck.")}
    return {key: value for key, value in tensors.items() if key not in others}, []


def _match_classes(
    state: dict[str, Tensor],
    tensors: Mapping[str, Tensor],
    heads: Sequence[str],
    names: Sequence[str],
    their_names: Sequence[str],
) -> tuple[list[str], list[str]]:
    """Copy the rows of classes in both networks, and add the mean of the weights' to the others.

    Returns:
        Names of the copied classes; keys of heads left as they were, as priors or layers differ.
    """
    if not their_names:
        return [], []
    labels = find_labels(names, their_names)
    pairs = [(label, labels[name]) for label, name in enumerate(names) if name in labels]
    others = sorted(set(range(len(names))) - {label for label, _ in pairs})
    filled, unlike = False, list[str]()
    for key in heads:
        if key not in tensors:
            unlike.append(key)
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
    known: Sequence[str], unlike: Sequence[str], names: Sequence[str], their_names: Sequence[str]
) -> list[str]:
    if not their_names:
        return ["classes: the weights have no heads that fit, so all are initialised at random"]
    new = [name for name in names if name not in known]
    described = (
        f"classes that the weights know: {', '.join(known) or 'none'}; new, initialised with the"
        f" mean of their {len(their_names)}: {', '.join(new) or 'none'}"
    )
    if not unlike:
        return [described]
    heads = ", ".join(sorted({".".join(key.split(".")[:2]) for key in unlike}))
    return [described, f"random for all classes, since priors or layers differ: {heads}"]


def silence_classes(model: SSDLite, labels: Sequence[int]) -> None:
    """Set the rows of classes without training data, in place, so that they are never detected."""
    _set_bias(model, class_keys(model), labels, SILENT)
    state = model.state_dict()
    for key in class_keys(model):
        if state[key].ndim > 1:
            by_class(state[key], model.num_classes)[:, list(labels)] = 0


def expect_few(model: SSDLite, keys: Iterable[str] | None = None) -> None:
    """Give random class heads (``keys``; default: all) low-score biases if scores are sigmoids."""
    if model.scores == "sigmoid":
        _set_bias(model, keys or class_keys(model), range(model.num_classes), RARE)


def _set_bias(model: SSDLite, keys: Iterable[str], labels: Sequence[int], value: float) -> None:
    state = model.state_dict()
    for key in keys:
        if state[key].ndim == 1:
            by_class(state[key], model.num_classes)[:, list(labels)] = value


def _listed(keys: Sequence[str]) -> str:
    """List the parts of the network that keys belong to, with counts."""
    parts = [key.split(".")[0] for key in keys]
    return ", ".join(f"{parts.count(part)} of {part}" for part in sorted(set(parts))) or "none"
