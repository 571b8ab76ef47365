"""TensorFlow.js graph models: the constants of a ``model.json`` and the shards beside it.

The converter of TensorFlow.js folds BatchNorm: the scale goes into the convolution before it (or
stays beside a depthwise one), and the rest of the norm is a shift. Such a norm is restored here
with mean 0 and variance 1.
"""

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from vision.errors import WeightsError

SCALE, SHIFT = "/BatchNorm/batchnorm/mul", "/BatchNorm/batchnorm/sub"
MERGED = "/Conv2D/merged_input"
DEPTHWISE = "/depthwise_weights"

Side: TypeAlias = Annotated[int, Field(ge=0, lt=2**31)]


class _Quantization(BaseModel):
    """How a constant is stored where that is not its own type."""

    dtype: Literal["float16", "uint8", "uint16"]
    scale: float | None = None
    min: float = 0.0


class _Weight(BaseModel):
    """An entry of ``weightsManifest``."""

    name: str
    shape: list[Side]
    dtype: Literal["float32", "float16", "int32", "uint8", "bool"]
    quantization: _Quantization | None = None

    def restored(self, content: bytes) -> np.ndarray:
        """The constant from its bytes."""
        stored: np.ndarray = np.frombuffer(content, self.stored_as)
        if self.quantization is not None and self.quantization.scale is not None:
            stored = stored.astype(np.float32) * self.quantization.scale + self.quantization.min
        return stored.astype(self.dtype).reshape(self.shape)

    @property
    def stored_as(self) -> "np.dtype[Any]":
        """Its type in the shards."""
        named: np.dtype[Any] = np.dtype((self.quantization or self).dtype)
        return named.newbyteorder("<")

    @property
    def num_bytes(self) -> int:
        """Its length in the shards."""
        return math.prod(self.shape) * self.stored_as.itemsize


class _Group(BaseModel):
    """Shards whose joined bytes hold these constants."""

    paths: list[str]
    weights: list[_Weight]


_GROUPS = TypeAdapter(list[_Group])


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
        elif name.endswith(DEPTHWISE):
            scale = constants.get(f"{name.removesuffix(DEPTHWISE)}{SCALE}")
            if scale is not None and scale.shape != value.shape[2:3]:
                raise WeightsError(f"{path}: {name} and its norm's scale are of different sizes")
            arrays[name] = value if scale is None else value * scale[:, None]
        elif not name.endswith(SCALE):
            arrays[name] = value
    return arrays


def _constants(path: Path) -> dict[str, np.ndarray]:
    constants: dict[str, np.ndarray] = {}
    for group in _manifest(path):
        content = b"".join(_read(path.parent / shard) for shard in group.paths)
        start = 0
        for weight in group.weights:
            end = start + weight.num_bytes
            if end > len(content):
                raise WeightsError(f"{path}: the shards end within {weight.name}")
            constants[weight.name] = weight.restored(content[start:end])
            start = end
        if start != len(content):
            raise WeightsError(f"{path}: the shards hold {len(content)} bytes, expected {start}")
    return constants


def _manifest(path: Path) -> list[_Group]:
    content = _read(path)
    try:
        return _GROUPS.validate_python(json.loads(content)["weightsManifest"])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise WeightsError(f"{path}: weightsManifest.{where}: {first['msg']}") from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise WeightsError(
            f"{path} is no graph model of TensorFlow.js: it has no weightsManifest"
        ) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(
            f"{path} cannot be read: {reason}; a model.json needs its shards beside it"
        ) from error
