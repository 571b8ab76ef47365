"""TensorFlow.js graph models: the constants of a ``model.json`` and the shards beside it.

The converter of TensorFlow.js folds BatchNorm: the scale goes into the convolution before it (or
remains a constant next to a depthwise one), and the rest of the norm becomes a shift. Such a norm
is restored here with mean 0 and variance 1.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from vision.errors import WeightsError
from vision.files import check_regular, read_bytes

SCALE, SHIFT = "/BatchNorm/batchnorm/mul", "/BatchNorm/batchnorm/sub"
MERGED = "/Conv2D/merged_input"
DEPTHWISE = "/depthwise_weights"

MAX_NUMBERS = 2**26
"""Maximum number of values in a graph's constants: ten times those of the largest detector."""

Side: TypeAlias = Annotated[int, Field(ge=0, lt=2**31)]


class _Quantization(BaseModel):
    """How a constant is stored, if not in its own type."""

    dtype: Literal["float16", "uint8", "uint16"]
    scale: float | None = None
    min: float = 0.0


class _Weight(BaseModel):
    """An entry of ``weightsManifest``."""

    name: str
    shape: list[Side] = Field(max_length=8)
    dtype: Literal["float32", "float16", "int32", "uint8", "bool"]
    quantization: _Quantization | None = None

    def restored(self, content: bytes) -> np.ndarray:
        """Decode the constant from its bytes."""
        stored: np.ndarray = np.frombuffer(content, self.stored_as)
        with np.errstate(all="ignore"):  # values that are not finite are refused by name later
            if self.quantization is not None and self.quantization.scale is not None:
                stored = stored.astype(np.float32) * self.quantization.scale
                stored = stored + self.quantization.min
            return stored.astype(self.dtype).reshape(self.shape)

    @property
    def stored_as(self) -> "np.dtype[Any]":
        """Data type in the shards."""
        named: np.dtype[Any] = np.dtype((self.quantization or self).dtype)
        return named.newbyteorder("<")

    @property
    def num_bytes(self) -> int:
        """Length in the shards in bytes."""
        return math.prod(self.shape) * self.stored_as.itemsize


class _Group(BaseModel):
    """Constants, and the shards beside the ``model.json`` whose joined bytes hold them."""

    paths: list[str]
    weights: list[_Weight]

    @property
    def num_bytes(self) -> int:
        """Length of all constants in bytes."""
        return sum(weight.num_bytes for weight in self.weights)


_GROUPS = TypeAdapter(list[_Group])


def read_graph_model(path: Path, norm_eps: float) -> dict[str, np.ndarray]:
    """Read the variables of a graph model by the names that they had before it was optimised.

    Args:
        path: The ``model.json``.
        norm_eps: BatchNorm's epsilon, for norms that were folded.

    Raises:
        WeightsError: If the file or a shard is missing, damaged, or stored in an unknown way.
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
                raise WeightsError(f"{path}: {name} and its norm's scale have different sizes")
            arrays[name] = value if scale is None else value * scale[:, None]
        elif not name.endswith(SCALE):
            arrays[name] = value
    return arrays


def _constants(path: Path) -> dict[str, np.ndarray]:
    constants: dict[str, np.ndarray] = {}
    groups = _manifest(path)
    _check_shards(path, groups)
    for group in groups:
        content = b"".join(_read(path.parent / shard) for shard in group.paths)
        start = 0
        for weight in group.weights:
            end = start + weight.num_bytes
            constants[weight.name] = weight.restored(content[start:end])
            start = end
    return constants


def _check_shards(path: Path, groups: Sequence[_Group]) -> None:
    """Check that the shards lie beside ``path`` and have the stated lengths, without reading them.

    Raises:
        WeightsError: If one does not, or if there are too many values.
    """
    check_count(path, sum(math.prod(weight.shape) for group in groups for weight in group.weights))
    names = [name for group in groups for name in group.paths]
    for name in names:
        if name in {"", ".", ".."} or "/" in name or "\\" in name or names.count(name) > 1:
            raise WeightsError(
                f"{path}: expected each shard to be a file beside it, named once; found {name!r}"
            )
    for group in groups:
        size = sum(_size(path.parent / name) for name in group.paths)
        if size != group.num_bytes:
            raise WeightsError(
                f"{path}: the shards {', '.join(group.paths[:3])} hold {size:,} bytes, expected"
                f" {group.num_bytes:,}"
            )


def check_count(path: Path, count: int) -> None:
    """Refuse a graph whose constants would need too much memory.

    Raises:
        WeightsError: If they have more than `MAX_NUMBERS` values.
    """
    if count > MAX_NUMBERS:
        raise WeightsError(
            f"{path}: its constants have {count:,} values, more than the {MAX_NUMBERS:,} allowed,"
            " ten times those of the largest detector"
        )


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
            f"{path} is not a graph model of TensorFlow.js: it has no weightsManifest"
        ) from error


def _size(path: Path) -> int:
    try:
        return check_regular(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> WeightsError:
    text = f"{path} cannot be read: {error.strerror}; a model.json needs its shards beside it"
    return WeightsError(text)
