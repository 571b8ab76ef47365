"""Means of detectors' weights."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vision.errors import WeightsError
from vision.model.ssdlite import SSDLite
from vision.weights.class_rows import by_class, class_keys, select_classes
from vision.weights.file import SavedDetector, load_weights
from vision.weights.labels import find_labels
from vision.weights.migration import recorded_licence

SAME = ("backbone", "neck", "preset", "width_mult", "activation", "scores", "priors")
MEASURED = ("metrics", "thresholds")
"""Keys of measurements on the first weights, which do not hold for the mean."""
ROUNDING = 1e-6
"""Maximum difference between the sum of fractions and 1."""


def average(paths: Sequence[Path], fractions: Sequence[float] | None = None) -> SavedDetector:
    """Compute the weighted mean of weights that share an initialisation; otherwise it is useless.

    The mean of several fine-tuned weights is a model soup (arXiv 2203.05482). The mean of
    fine-tuned weights and their initialisation keeps more of the latter's accuracy (arXiv
    2109.01903).

    Args:
        paths: Two or more weights files. The first determines network, classes and configuration;
            the others may have more classes, since rows are matched by class name.
        fractions: The weight of each file, with the sum 1; equal weights by default.

    Returns:
        The mean as a detector, without the measurements on the first file's weights.

    Raises:
        WeightsError: If the networks differ, a class is missing, or the fractions do not fit.
    """
    _check_fractions(paths, fractions)
    fractions = [1 / len(paths)] * len(paths) if fractions is None else fractions
    first = load_weights(paths[0])
    state = first.model.state_dict()
    mean = {k: value * fractions[0] for k, value in state.items() if value.is_floating_point()}
    licences = [recorded_licence(first.training)]
    for path, fraction in zip(paths[1:], fractions[1:], strict=True):
        other = load_weights(path)
        _check_fit(first, other, f"{path} and {paths[0]}")
        theirs = select_classes(other.model, _labels(first.names, other.names, path))
        for key in mean:
            mean[key] += theirs[key] * fraction
        licences.append(recorded_licence(other.training))
    first.model.load_state_dict(state | mean)
    facts = {key: value for key, value in first.training.items() if key not in MEASURED}
    parts = (f"{fraction:g} of {path}" for path, fraction in zip(paths, fractions, strict=True))
    facts["mean"] = ", ".join(parts)
    if any(licences):
        facts["licence"] = "; ".join(dict.fromkeys(filter(None, licences)))
    return replace(first, training=facts)


@torch.no_grad()
def interpolate(
    start: SSDLite, end: SSDLite, fraction: float, kept: Sequence[int]
) -> dict[str, Tensor]:
    """Interpolate between the weights before and after training (arXiv 2109.01903, equation 1).

    Args:
        start: The network before training.
        end: The same network after training.
        fraction: Weight of ``end``, from 0 to 1.
        kept: Labels of classes whose rows are taken from ``end``: those new in this training.

    Returns:
        A state dict of the network.
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


def to_half(model: SSDLite) -> SSDLite:
    """Round a network's parameters to half precision in place; buffers stay as they are.

    Raises:
        WeightsError: If a parameter is too large for half precision.
    """
    for name, parameter in model.named_parameters():
        parameter.data = parameter.data.half()
        if not bool(parameter.isfinite().all()):
            raise WeightsError(f"{name} is too large for half precision; leave --half out")
    return model


def _labels(names: Sequence[str], theirs: Sequence[str], path: Path) -> list[int]:
    """Return the label in ``theirs`` of each class, by its name or by VOC's or COCO's name."""
    labels = find_labels(names, theirs)
    missing = [name for name in names if name not in labels]
    if missing:
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise WeightsError(
            f"{path} lacks {missing[0]}{more} of the first file's classes; put a file first whose"
            " classes all the others have"
        )
    rows = [labels[name] for name in names]
    if len(set(rows)) < len(rows):
        twice = next(name for name, row in zip(names, rows, strict=True) if rows.count(row) > 1)
        raise WeightsError(
            f"{path} has one class for {twice} and another of the first file's classes; leave one"
            " of the files out"
        )
    return rows


def _check_fractions(paths: Sequence[Path], fractions: Sequence[float] | None) -> None:
    if len(paths) < 2:
        raise WeightsError("a mean needs two weights files or more")
    if fractions is None:
        return
    if len(fractions) != len(paths):
        raise WeightsError(
            f"{len(paths)} weights files need as many fractions, got {len(fractions)}"
        )
    if not (all(fraction >= 0 for fraction in fractions) and abs(sum(fractions) - 1) <= ROUNDING):
        raise WeightsError(
            f"fractions {', '.join(map(str, fractions))} must be 0 or more, with the sum 1"
        )


def _check_fit(first: SavedDetector, other: SavedDetector, both: str) -> None:
    models = [
        # Null scores mean the preset's function, which may be the same.
        saved.config.model.model_copy(update={"scores": saved.config.model.score_function})
        for saved in (first, other)
    ]
    differing = [name for name in SAME if getattr(models[0], name) != getattr(models[1], name)]
    if differing:
        raise WeightsError(f"{both} have different networks: model.{', model.'.join(differing)}")
    if first.norms_folded != other.norms_folded:
        raise WeightsError(
            f"{both}: the BatchNorms of one are folded, so they have no useful mean; use the file"
            " from which the training started"
        )
