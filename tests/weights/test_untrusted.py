"""Weights files that announce what they do not hold: one line, before memory is taken."""

import json
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.weights.test_weights import CONFIG, NAMES, metadata_of, network
from vision.errors import WeightsError
from vision.weights import SavedDetector, load_any, save_weights

STEM = "backbone.features.0.0.weight"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound file; to be read, not written."""
    path = tmp_path_factory.mktemp("weights") / "best.safetensors"
    save_weights(path, network(), CONFIG, NAMES, {})
    return path


def write_sparse(path: Path, header: dict[str, Any], size: int) -> None:
    """A file whose header announces ``size`` bytes, of which the disk holds none."""
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + size)


@pytest.mark.parametrize("kind", ["foreign", "detector", "backbone"])
def test_forty_gigabytes_that_are_not_there_are_not_read(
    saved: Path, tmp_path: Path, kind: str
) -> None:
    size = 40 * 10**9
    metadata = metadata_of(saved)
    if kind != "detector":
        metadata["format"] = "pt" if kind == "foreign" else "ssdlite-backbone-2"
    entry = {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}
    path = tmp_path / "sparse.safetensors"
    write_sparse(path, {"__metadata__": metadata, STEM: entry}, size)
    tracemalloc.start()
    with pytest.raises(WeightsError, match=r"not written by ssdlite|do not fit") as caught:
        load_any(path)
    assert tracemalloc.get_traced_memory()[1] < 10**8
    tracemalloc.stop()
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize(
    "dtype", [torch.float8_e4m3fn, torch.int8, torch.bool, torch.int64], ids=str
)
def test_a_tensor_of_another_type_is_named(saved: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = load_file(saved)
    path = tmp_path / "w.safetensors"
    save_file({**tensors, STEM: tensors[STEM].to(dtype)}, path, metadata_of(saved))
    with pytest.raises(WeightsError, match=f"{STEM} is of type "):
        load_any(path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_halves_and_doubles_are_read(saved: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = load_file(saved)
    path = tmp_path / "w.safetensors"
    save_file({**tensors, STEM: tensors[STEM].to(dtype)}, path, metadata_of(saved))
    found = load_any(path)
    assert isinstance(found, SavedDetector)
    assert torch.equal(found.model.state_dict()[STEM], tensors[STEM].to(dtype).float())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b", "a"], "'a' is given twice"),
        (["a", "", "b"], "one is empty"),
        (["caf\u00e9", "cafe\u0301", "b"], "is given twice"),
    ],
)
def test_names_are_distinct_texts(
    saved: Path, tmp_path: Path, names: list[str], message: str
) -> None:
    path = tmp_path / "w.safetensors"
    save_file(load_file(saved), path, metadata_of(saved) | {"names": json.dumps(names)})
    with pytest.raises(WeightsError, match=message):
        load_any(path)


@pytest.mark.parametrize(
    "text", ["", "\r", "a\u2028b", "x" * 10**5], ids=["empty", "return", "separator", "long"]
)
def test_any_format_is_named_in_one_short_line(saved: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"weight": torch.zeros(2)}, path, metadata_of(saved) | {"format": text})
    with pytest.raises(WeightsError, match="not written by ssdlite") as caught:
        load_any(path)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("key", ["config", "names", "training"])
@pytest.mark.parametrize("text", ["[" * 10**5, "9" * 10**5, '{"a":' * 10**5], ids=lambda t: t[:5])
def test_absurd_metadata_are_one_short_line(
    saved: Path, tmp_path: Path, key: str, text: str
) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"weight": torch.zeros(2)}, path, metadata_of(saved) | {key: text})
    with pytest.raises(WeightsError) as caught:
        load_any(path)
    assert len(str(caught.value)) < 1500
