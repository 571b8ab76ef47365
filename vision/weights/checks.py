"""Whether the tensors of a weights file are those of a network, and usable."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vision.errors import WeightsError

MAX_LISTED = 12
"""Maximum number of tensors that an error names."""
_FLOATS, _COUNTS = frozenset({"F16", "BF16", "F32", "F64"}), frozenset({"I64"})
"""Types of tensors by safetensors' names."""


def check_fit(expected: Mapping[str, Tensor], found: Mapping[str, Any], where: str) -> None:
    """Make sure that the tensors of a file, unread, are a network's, of its shapes and types.

    Args:
        expected: The network's tensors.
        found: For each tensor of the file, what ``get_slice`` of safetensors gives.
        where: Heads the error.

    Raises:
        WeightsError: Names the tensors that do not fit.
    """
    problems = [f"missing {key}" for key in expected if key not in found]
    problems += [f"unknown {key}" for key in found if key not in expected]
    for key, value in expected.items():
        if key not in found:
            continue
        shape, dtype = tuple(found[key].get_shape()), found[key].get_dtype()
        if shape != tuple(value.shape):
            problems.append(f"{key} has the shape {shape}, not {tuple(value.shape)}")
        elif dtype not in (_FLOATS if value.is_floating_point() else _COUNTS):
            problems.append(f"{key} is of type {dtype}")
    if problems:
        more = f" and {len(problems) - MAX_LISTED} more" if len(problems) > MAX_LISTED else ""
        listed = "; ".join(problems[:MAX_LISTED])
        raise WeightsError(f"{where} do not fit their configuration: {listed}{more}")


def check_finite(tensors: Mapping[str, Tensor], where: str) -> None:
    """Make sure that all values are finite.

    Raises:
        WeightsError: Names the first tensor with others.
    """
    bad = [key for key, value in tensors.items() if not value.isfinite().all()]
    if bad:
        raise WeightsError(
            f"{where} hold NaN or infinite values, in {len(bad)} tensors"
            f" (first: {bad[0]}); take those of an earlier epoch or another training"
        )
