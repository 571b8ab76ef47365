"""Damaged and lying files of other projects: a right result or one line, and no absurd memory."""

import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from torch import Tensor

from vision.convert import convert_weights
from vision.convert.sources import _read_pickle
from vision.convert.tensorflow import read_tensorflow
from vision.errors import WeightsError
from vision.weights.labels import read_labels

NAME = "FeatureExtractor/MobilenetV2/Conv/weights"
STATE = {"a.weight": torch.arange(24.0).reshape(2, 3, 4), "a.bias": torch.ones(5)}


def pickled(content: object, *, is_zip: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=is_zip)
    return buffer.getvalue()


CLEAN = [pickled(STATE, is_zip=is_zip) for is_zip in (True, False)]


def check_line(error: WeightsError, path: Path) -> None:
    assert str(path) in str(error)
    assert len(str(error).splitlines()) == 1


def sound_or_one_line(path: Path) -> None:
    try:
        tensors = _read_pickle(path)
    except WeightsError as error:
        check_line(error, path)
    else:
        assert all(isinstance(value, Tensor) for value in tensors.values())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("content", CLEAN, ids=["zip", "legacy"])
def test_a_damaged_pickle_is_one_line(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Seeds that gave struct.error, AssertionError, TypeError and MemoryError are among these."""
    path = tmp_path_factory.mktemp("damaged") / "w.pth"
    generator = random.Random(0)  # noqa: S311
    for _ in range(200):
        damaged = bytearray(content)
        for _ in range(generator.randint(1, 8)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        path.write_bytes(damaged[: generator.choice([None, generator.randrange(len(damaged))])])
        sound_or_one_line(path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(1).expand(10**6, 10**6), "fewer values than its shape"),
        (torch.zeros(10**6, 10**6, device="meta"), "fewer values than its shape"),
        (torch.zeros(3, dtype=torch.int8), "expected floats"),
    ],
)
def test_a_tensor_that_is_not_there_is_named(tmp_path: Path, value: Tensor, message: str) -> None:
    torch.save({"weight": value}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=f"weight .*{message}"):
        _read_pickle(tmp_path / "w.pth")


def graph_of(tensor: TensorProto) -> bytes:
    graph = GraphDef()
    node = graph.node.add(name=NAME, op="Const")
    node.attr["value"].tensor.CopyFrom(tensor)
    return bytes(graph.SerializeToString())


def constant(*sides: int, **values: Any) -> TensorProto:  # noqa: ANN401
    tensor = TensorProto(dtype=values.pop("dtype", 1), **values)
    for side in sides:
        tensor.tensor_shape.dim.add(size=side)
    return tensor


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (constant(10**5, 10**5, 10, float_val=[0.5]), "100,000,000,000 values, more than"),
        (constant(*[1] * 100, float_val=[0.5]), "constant .* is damaged"),
        (constant(1, dtype=19, half_val=[99999999]), "constant .* is damaged"),
        (constant(-5, float_val=[0.5]), "constant .* is damaged"),
        (constant(2, 2, float_val=[0.5] * 3), "constant .* is damaged"),
    ],
    ids=["373 GiB", "100 dimensions", "half of 1e8", "negative", "too few"],
)
def test_a_constant_that_lies_is_one_line(
    tmp_path: Path, tensor: TensorProto, message: str
) -> None:
    path = tmp_path / "g.pb"
    path.write_bytes(graph_of(tensor))
    with pytest.raises(WeightsError, match=message) as caught:
        read_tensorflow(path)
    assert len(str(caught.value).splitlines()) == 1


def test_one_value_may_stand_for_all_of_a_constant(tmp_path: Path) -> None:
    """TensorFlow writes a constant of equal values so."""
    path = tmp_path / "g.pb"
    path.write_bytes(graph_of(constant(3, 3, 2, 4, float_val=[0.5])))
    (found,) = read_tensorflow(path).values()
    assert torch.equal(found, torch.full((4, 2, 3, 3), 0.5))


@pytest.mark.slow
@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_any_bytes_are_a_graph_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.pb"
    for whole in (content, graph_of(constant(2, tensor_content=content)), GRAPH + content):
        path.write_bytes(whole)
        try:
            read_tensorflow(path)
        except WeightsError as error:
            check_line(error, path)


GRAPH = graph_of(constant(1, 1, 1, 1, float_val=[0.5]))


def manifest(folder: Path, *groups: tuple[list[str], list[int]]) -> Path:
    path = folder / "model.json"
    content = [
        {"paths": paths, "weights": [{"name": NAME, "shape": shape, "dtype": "float32"}]}
        for paths, shape in groups
    ]
    path.write_text(json.dumps({"weightsManifest": content}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "names",
    [
        ["../secret"],
        ["/dev/zero"],
        ["inner/../../secret"],
        ["..\\secret"],
        [".."],
        ["."],
        [""],
        ["shard", "shard"],
        ["C:\\secret", "shard"],
    ],
    ids=str,
)
def test_a_shard_lies_beside_the_graph_and_counts_once(tmp_path: Path, names: list[str]) -> None:
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    for path in (tmp_path / "secret", folder / "shard"):
        path.write_bytes(np.zeros(4, np.float32).tobytes())
    path = manifest(folder, (names, [1, 1, 2, 2 * len(names)]))
    with pytest.raises(WeightsError, match="expected each shard to be a file beside it"):
        convert_weights("tensorflow", str(path))


def test_a_shard_of_another_length_or_an_absurd_one_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "shard").open("wb") as file:
        file.truncate(2**36)
    with pytest.raises(WeightsError, match="hold 68,719,476,736 bytes, expected 16"):
        convert_weights("tensorflow", str(manifest(tmp_path, (["shard"], [1, 1, 2, 2]))))
    with pytest.raises(WeightsError, match="17,179,869,184 values, more than the 67,108,864"):
        convert_weights("tensorflow", str(manifest(tmp_path, (["shard"], [1, 1, 2**17, 2**17]))))


def test_shards_in_groups_are_read(tmp_path: Path) -> None:
    """The control of the two tests above."""
    values = np.arange(4, dtype=np.float32)
    (tmp_path / "one").write_bytes(values[:1].tobytes())
    (tmp_path / "two").write_bytes(values[1:].tobytes())
    (found,) = read_tensorflow(manifest(tmp_path, (["one", "two"], [1, 1, 2, 2]))).values()
    assert found.flatten().tolist() == [0.0, 2.0, 1.0, 3.0]


@pytest.mark.parametrize(
    "text",
    [
        "item { id: \u00b2 name: 'a' }",
        f"item {{ id: {'9' * 5000} name: 'a' }}",
        "item { id: -1.5 }",
    ],
    ids=["superscript", "5000 digits", "decimal"],
)
def test_a_number_that_a_label_map_cannot_hold_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.pbtxt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WeightsError, match=r"m\.pbtxt") as caught:
        read_labels(path)
    assert len(str(caught.value).splitlines()) == 1
