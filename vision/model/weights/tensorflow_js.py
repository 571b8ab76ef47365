"""TensorFlow.js graph models: the constants of a ``model.json`` and the shards beside it.

Facts: the "weights manifest" of the TensorFlow.js converter. Its optimiser folds BatchNorm: the
scale goes into the convolution before it (or stays beside a depthwise one), and what is left of the
norm is a shift. Such a norm comes back here as one of mean 0 and variance 1.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from vision.errors import WeightsError

__all__ = ["is_graph_model", "read_graph_model"]

SCALE, SHIFT = "/BatchNorm/batchnorm/mul", "/BatchNorm/batchnorm/sub"
MERGED = "/Conv2D/merged_input"
DTYPES = frozenset({"float32", "float16", "int32", "uint8", "uint16", "bool"})


def read_graph_model(path: Path, norm_eps: float) -> dict[str, np.ndarray]:
    """The variables of a graph model by the names that they had before it was optimised.

    Args:
        path: The ``model.json``.
        norm_eps: BatchNorm's epsilon, for norms that were folded.

    Raises:
        WeightsError: If it or a shard is missing, damaged, or stored in an unknown way.
    """
    constants = _constants(path)
    arrays: dict[str, np.ndarray] = {}
    for name, value in constants.items():
        if name.endswith(SHIFT):
            norm = name.removesuffix("batchnorm/sub")
            ones = np.ones_like(value)
            arrays[f"{norm}beta"] = value
            arrays[f"{norm}gamma"] = ones * np.sqrt(np.float32(1 + norm_eps))
            arrays[f"{norm}moving_mean"] = ones * 0
            arrays[f"{norm}moving_variance"] = ones
        elif name.endswith(MERGED):
            arrays[f"{name.removesuffix(MERGED)}/weights"] = value
        elif name.endswith("/depthwise_weights"):
            scale = constants.get(f"{name.removesuffix('/depthwise_weights')}{SCALE}")
            arrays[name] = value if scale is None else value * scale[:, None]
        elif not name.endswith(SCALE):
            arrays[name] = value
    return arrays


def is_graph_model(path: Path) -> bool:
    """Whether a file is of this format, by its suffix."""
    return path.suffix == ".json"


def _constants(path: Path) -> dict[str, np.ndarray]:
    """All constants by their names."""
    constants: dict[str, np.ndarray] = {}
    for group in _manifest(path):
        content = b"".join(_read(path.with_name(shard)) for shard in group["paths"])
        start = 0
        for weight in group["weights"]:
            stored, count = _stored_as(weight, path), int(np.prod(weight["shape"]))
            end = start + count * stored.itemsize
            if end > len(content):
                raise WeightsError(f"{path}: the shards end within {weight['name']}")
            flat = np.frombuffer(content[start:end], stored)
            constants[weight["name"]] = _plain(flat, weight).reshape(weight["shape"])
            start = end
        if start != len(content):
            raise WeightsError(f"{path}: the shards hold {len(content)} bytes, expected {start}")
    return constants


def _manifest(path: Path) -> list[dict[str, Any]]:
    content = _read(path)
    try:
        groups = json.loads(content)["weightsManifest"]
        for group in groups:
            assert all(isinstance(shard, str) for shard in group["paths"])
            for weight in group["weights"]:
                assert isinstance(weight["name"], str)
                assert all(isinstance(side, int) and side >= 0 for side in weight["shape"])
    except (ValueError, LookupError, TypeError, AssertionError) as error:
        raise WeightsError(
            f"{path} is no graph model of TensorFlow.js: it has no whole weightsManifest"
        ) from error
    return list(groups)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read: {error.strerror or error}; a model.json needs its shards"
            " beside it"
        ) from error


def _stored_as(weight: dict[str, Any], path: Path) -> "np.dtype[Any]":
    quantization = weight.get("quantization") or weight
    if weight.get("dtype") not in DTYPES or quantization.get("dtype") not in DTYPES:
        raise WeightsError(f"{path}: {weight['name']} is stored in an unknown way")
    stored: np.dtype[Any] = np.dtype(quantization["dtype"])
    return stored.newbyteorder("<")


def _plain(flat: np.ndarray, weight: dict[str, Any]) -> np.ndarray:
    """A constant in its own type."""
    quantization = weight.get("quantization") or {}
    if "scale" in quantization:
        flat = flat.astype(np.float32) * quantization["scale"] + quantization.get("min", 0.0)
    return flat.astype(weight["dtype"])
