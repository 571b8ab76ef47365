"""The mean of several detectors' weights."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from vision.errors import WeightsError
from vision.model.build import build_model
from vision.model.weights.file import SavedDetector, load_weights
from vision.model.weights.labels import canonical
from vision.model.weights.start import start_from

__all__ = ["average"]

SAME = ("name", "preset", "width_mult", "activation", "priors")
MOST_SHARE_ERROR = 1e-6


def average(paths: Sequence[Path], shares: Sequence[float] | None = None) -> SavedDetector:
    """The mean of weights that one training has come to, or of its end and its beginning.

    Of several ends of a training it is a model soup (arXiv 2203.05482); of the fine-tuned weights
    and those that the fine-tuning began from it keeps what the latter knew (arXiv 2109.01903).

    Args:
        paths: Two or more weights files. Network, classes and configuration are the first's; the
            others may have more classes, whose rows are found by their names.
        shares: Of each, in all 1; equal ones if left out.

    Returns:
        The detector, without the metrics of the first.

    Raises:
        WeightsError: If the networks differ, a class is missing, or the shares do not fit.
    """
    shares = [1 / len(paths)] * len(paths) if shares is None else shares
    _check_shares(paths, shares)
    first, *others = [load_weights(path) for path in paths]
    mean = {key: value * shares[0] for key, value in _floats(first)}
    for path, other, share in zip(paths[1:], others, shares[1:], strict=True):
        _check_fit(first, other, path, paths[0])
        twin = build_model(first.config.model, len(first.names))
        start_from(twin, first.config.model, first.names, str(path))
        for key, value in _floats(replace(first, model=twin)):
            mean[key] = mean[key] + value * share
    first.model.load_state_dict(first.model.state_dict() | mean)
    facts = {key: value for key, value in first.training.items() if key != "metrics"}
    parts = (f"{share:g} of {path.name}" for path, share in zip(paths, shares, strict=True))
    return replace(first, training=facts | {"mean": ", ".join(parts)})


def _floats(saved: SavedDetector) -> list[tuple[str, Tensor]]:
    state = saved.model.state_dict()
    return [(key, value) for key, value in state.items() if value.is_floating_point()]


def _check_shares(paths: Sequence[Path], shares: Sequence[float]) -> None:
    if len(paths) < 2:
        raise WeightsError("a mean takes two weights files or more")
    if len(shares) != len(paths):
        raise WeightsError(f"{len(paths)} weights files have {len(shares)} shares")
    if min(shares) < 0 or abs(sum(shares) - 1) > MOST_SHARE_ERROR:
        raise WeightsError(f"shares {', '.join(map(str, shares))} are not positive and 1 in all")


def _check_fit(first: SavedDetector, other: SavedDetector, path: Path, first_path: Path) -> None:
    differing = [
        name
        for name in SAME
        if getattr(first.config.model, name) != getattr(other.config.model, name)
    ]
    if differing:
        raise WeightsError(
            f"{path} and {first_path} are of different networks: model.{', model.'.join(differing)}"
        )
    known = {canonical(name) for name in other.names}
    missing = [name for name in first.names if canonical(name) not in known]
    if missing:
        raise WeightsError(f"{path} lacks classes of {first_path}: {', '.join(missing)}")
