"""Score thresholds of a detector, from the scores that users give."""

# C classes

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Float32
from torch import Tensor

from vision.errors import ConfigError, WeightsError, did_you_mean

Score: TypeAlias = float | Literal["best"]
"""A score threshold; ``best`` is the threshold that training found best for each class."""
Scores: TypeAlias = Score | Mapping[str, Score]
"""A score threshold for all classes, or by class name."""
USUAL_SCORE = 0.4
"""The default threshold, also for classes whose best threshold is not known."""


def score_thresholds(
    score: Scores,
    names: Sequence[str],
    best: object = None,
) -> float | Float32[Tensor, "C"]:
    """Return the score that a detection must exceed: one for all classes, or one for each label.

    Args:
        score: As for `vision.detector.Detector.load`.
        names: Class names in label order.
        best: The best threshold by class name, as far as known; read from a file, not yet checked.

    Raises:
        ConfigError: If a score is out of range, or names a class that is not in ``names``.
        WeightsError: If ``best`` is asked for, but not known.
    """
    by_name = _resolve(score if isinstance(score, Mapping) else {"": score}, best)
    for name, value in by_name.items():
        if not 0 <= value <= 1:
            of_name = f" of {name}" if name else ""
            raise ConfigError(f"score{of_name}: expected a number from 0 to 1, got {value}")
    _check_known([name for name in by_name if name], names)
    if by_name.keys() == {""}:
        return by_name[""]
    return torch.tensor([by_name.get(name, by_name.get("", 1.0)) for name in names])


def only_classes(
    threshold: float | Float32[Tensor, "C"], classes: str | Sequence[str], names: Sequence[str]
) -> Float32[Tensor, "C"]:
    """Return the threshold of each class, which is 1 for all classes that are not in ``classes``.

    Args:
        threshold: From `score_thresholds`: for all classes, or for each.
        classes: Names of the classes to keep.
        names: Class names in label order.

    Raises:
        ConfigError: If a class is not in ``names``, or is a number.
    """
    kept = [classes] if isinstance(classes, str | int) else list(classes)
    if not all(isinstance(name, str) for name in kept):
        raise ConfigError(f"classes: expected class names such as {names[0]}, got {kept}")
    _check_known(kept, names)
    limits = threshold if isinstance(threshold, Tensor) else torch.full((len(names),), threshold)
    return torch.where(torch.tensor([name in kept for name in names]), limits, 1.0)


def _check_known(classes: Sequence[str], names: Sequence[str]) -> None:
    for name in classes:
        if name not in names:
            hint = did_you_mean(name, names)
            raise ConfigError(f"the detector has no class {name}{hint}")


def check_number(score: Any) -> float:  # noqa: ANN401
    """Convert a score to a number.

    Raises:
        ConfigError: If it is not a number.
    """
    try:
        return float(score)
    except (TypeError, ValueError):
        text = f'score: expected a number from 0 to 1 or "best", got {score!r}'
        raise ConfigError(text) from None


def _resolve(by_name: Mapping[str, Score], best: object) -> dict[str, float]:
    """Replace ``best`` by the best thresholds; return the scores by class name."""
    given = {name: check_number(score) for name, score in by_name.items() if score != "best"}
    asked = [name for name in by_name if name not in given]
    if not asked:
        return given
    if not best:
        raise WeightsError(
            "score best: the weights have no best thresholds, which training records; the page of"
            " ssdlite eval --report shows them for any weights, with the options to paste"
        )
    if not (isinstance(best, Mapping) and all(isinstance(x, int | float) for x in best.values())):
        raise WeightsError("score best: the weights' best thresholds are not numbers by class")
    known = {name: best.get(name, USUAL_SCORE) for name in asked}
    return {**(best if "" in asked else {}), **known, **given}
