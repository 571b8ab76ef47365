"""Checks that the tensors of a weights file fit a network and are finite."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vision.errors import WeightsError

MAX_LISTED = 12
"""Maximum number of tensors that an error names."""
_FLOATS, _COUNTS = frozenset({"F16", "BF16", "F32", "F64"}), frozenset({"I64"})
"""Types of tensors by safetensors' names."""


def check_fit(expected: Mapping[str, Tensor], found: Mapping[str, Any], where: str) -> None:
    """Check that a file's tensors, which are not read, have a network's keys, shapes and types.

    Args:
        expected: The network's tensors.
        found: The result of safetensors' ``get_slice`` for each tensor of the file.
        where: The beginning of the error message.

    Raises:
        WeightsError: If tensors do not fit; the message names them.
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
    """Check that all values are finite.

    Raises:
        WeightsError: If some are not; the message names the first tensor that holds such values.
    """
    bad = [key for key, value in tensors.items() if not value.isfinite().all()]
    if bad:
        raise WeightsError(
            f"{where} hold NaN or infinite values, in {len(bad)} tensors"
            f" (first: {bad[0]}); use the weights of an earlier epoch or of another training"
        )
