"""A TensorFlow.js graph model gives the same network as the graph that it was made from."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tests.convert import original_layouts as original
from tests.convert.test_convert import converted, frozen_graph, labels, pictures
from tests.reference_model import randomise
from vision.config import ModelConfig
from vision.convert import convert_weights
from vision.errors import WeightsError
from vision.model import SSDLite, build_model
from vision.weights import refit_norms

NORM = "/BatchNorm/"
EPS = np.float32(1e-3)


def folded(variables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """As the converter of TensorFlow.js leaves a graph: norms of the feature extractor folded."""
    found = dict(variables)
    for name in variables:
        if not name.startswith("FeatureExtractor") or not name.endswith(f"{NORM}gamma"):
            continue
        layer = name.removesuffix(f"{NORM}gamma")
        parts = ("gamma", "beta", "moving_mean", "moving_variance")
        gamma, beta, mean, variance = (found.pop(f"{layer}{NORM}{part}") for part in parts)
        scale = gamma / np.sqrt(variance + EPS)
        found[f"{layer}{NORM}batchnorm/sub"] = beta - mean * scale
        if f"{layer}/weights" in found:
            found[f"{layer}/Conv2D/merged_input"] = found.pop(f"{layer}/weights") * scale
        else:
            found[f"{layer}{NORM}batchnorm/mul"] = scale
    return found


def graph_model(folder: Path, constants: Mapping[str, np.ndarray], shard_size: int = 10**6) -> Path:
    """Write a ``model.json`` and its shards."""
    weights = [
        {"name": name, "shape": list(value.shape), "dtype": str(value.dtype)}
        for name, value in constants.items()
    ]
    content = b"".join(value.tobytes() for value in constants.values())
    return write_graph_model(folder, weights, content, shard_size)


def write_graph_model(
    folder: Path, weights: list[dict[str, Any]], content: bytes, shard_size: int = 10**6
) -> Path:
    shards = [content[start : start + shard_size] for start in range(0, len(content), shard_size)]
    names = [f"group1-shard{number}of{len(shards)}" for number in range(1, len(shards) + 1)]
    for name, shard in zip(names, shards, strict=True):
        (folder / name).write_bytes(shard)
    path = folder / "model.json"
    manifest = [{"paths": names, "weights": weights}]
    path.write_text(json.dumps({"modelTopology": {}, "weightsManifest": manifest}))
    return path


def constants() -> dict[str, np.ndarray]:
    """Of a narrow network, beside one that is no variable."""
    variables = folded(original.tensorflow_variables(2, 0.35, seed=0))
    return {"Preprocessor/mul/x": np.array(0.5, np.float32), **variables}


@pytest.mark.slow
def test_equals_the_frozen_graph(tmp_path: Path) -> None:
    names = labels(tmp_path, "cat", "dog")
    variables = original.tensorflow_variables(2, 0.35, seed=0)
    expected = converted("tensorflow", frozen_graph(tmp_path / "g.pb", variables), names)
    found = converted("tensorflow", graph_model(tmp_path, constants()), names)
    assert found.config == expected.config
    with torch.no_grad():
        ours, theirs = found.model(pictures(300)), expected.model(pictures(300))
    assert theirs.logits.std() > 0.01
    assert_close(ours.logits, theirs.logits, rtol=1e-4, atol=1e-4)
    assert_close(ours.offsets, theirs.offsets, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_quantised_constants_are_restored(tmp_path: Path) -> None:
    plain = constants()
    weights, parts = list[dict[str, Any]](), list[bytes]()
    for name, value in plain.items():
        low, high = float(value.min()), float(value.max())
        scale = max(high - low, 1e-6) / 65535
        entry: dict[str, Any] = {"name": name, "shape": list(value.shape), "dtype": "float32"}
        if name.endswith("merged_input"):
            entry["quantization"] = {"dtype": "uint16", "scale": scale, "min": low}
            parts.append(np.round((value - low) / scale).astype(np.uint16).tobytes())
        elif name.endswith("biases"):
            entry["quantization"] = {"dtype": "float16"}
            parts.append(value.astype(np.float16).tobytes())
        else:
            parts.append(value.tobytes())
        weights.append(entry)
    names = labels(tmp_path, "cat", "dog")
    (tmp_path / "plain").mkdir()
    expected = converted("tensorflow", graph_model(tmp_path / "plain", plain), names)
    found = converted("tensorflow", write_graph_model(tmp_path, weights, b"".join(parts)), names)
    theirs = expected.model.state_dict()
    differ = 0
    for key, value in found.model.state_dict().items():
        assert_close(value, theirs[key], rtol=1e-3, atol=1e-4)
        differ += not torch.equal(value, theirs[key])
    assert differ > 50


def damaged(folder: Path, old: str, new: str) -> None:
    path = folder / "model.json"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "group1-shard2of3").unlink(), "shard2of3 cannot be read"),
        (lambda folder: (folder / "model.json").unlink(), "model.json cannot be read"),
        (lambda folder: (folder / "model.json").write_text("{}"), "no weightsManifest"),
        (lambda folder: (folder / "model.json").write_text("["), "no weightsManifest"),
        (lambda folder: (folder / "model.json").write_text("[" * 10**6), "no weightsManifest"),
        (lambda folder: (folder / "group1-shard3of3").write_bytes(b"123"), "bytes, expected"),
        (
            lambda folder: (folder / "group1-shard3of3").write_bytes(
                (folder / "group1-shard3of3").read_bytes() + b"123"
            ),
            "bytes, expected",
        ),
        (lambda folder: damaged(folder, '"float32"', '"string"'), r"0\.weights\.0\.dtype: "),
        (lambda folder: damaged(folder, '"float32"', "[]"), r"0\.weights\.0\.dtype: "),
        (
            lambda folder: damaged(folder, '"float32"', '"float32", "quantization": "x"'),
            r"0\.weights\.0\.quantization: ",
        ),
        (
            lambda folder: damaged(
                folder, '"float32"', '"float32", "quantization": {"dtype": "uint8", "scale": "x"}'
            ),
            r"0\.weights\.0\.quantization\.scale: ",
        ),
        (lambda folder: damaged(folder, "[]", "[4294967296, 4294967296]"), r"shape\.0: "),
        (lambda folder: damaged(folder, '"group1', '"\\u0000'), "cannot be read"),
        (lambda folder: damaged(folder, '"group1-shard1of3"', '""'), "a file beside it"),
        (lambda folder: damaged(folder, '"weights"', '"other"'), r"0\.weights: "),
    ],
)
def test_damaged_files_say_what_is_wrong(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    stored = constants()
    size = sum(value.nbytes for value in stored.values())
    path = graph_model(tmp_path, stored, size // 3 + 1)
    damage(tmp_path)
    with pytest.raises(WeightsError, match=message) as caught:
        convert_weights("tensorflow", str(path), labels(tmp_path, "cat", "dog"))
    assert "\n" not in str(caught.value)


def test_a_scale_of_another_size_is_an_error(tmp_path: Path) -> None:
    stored = constants()
    key = next(name for name in stored if name.endswith("batchnorm/mul"))
    stored[key] = stored[key][:-1]
    with pytest.raises(WeightsError, match="have different sizes"):
        convert_weights(
            "tensorflow", str(graph_model(tmp_path, stored)), labels(tmp_path, "cat", "dog")
        )


@pytest.mark.slow
def test_only_lost_statistics_are_called_lost(tmp_path: Path) -> None:
    variables = original.tensorflow_variables(2, 0.35, seed=0)
    names = labels(tmp_path, "cat", "dog")
    assert "norms" not in converted("tensorflow", graph_model(tmp_path, variables), names).training
    found = converted("tensorflow", graph_model(tmp_path, folded(variables)), names)
    assert found.norms_folded


def small_detector() -> SSDLite:
    torch.manual_seed(0)
    config = ModelConfig(image_size=(128, 128), width_mult=0.35)
    return build_model(config, 2)


def test_refitted_norms_answer_as_before_and_have_the_images_statistics() -> None:
    model = small_detector()
    randomise(model)
    images = torch.randint(256, (8, 3, 128, 128), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = model.eval()(images)
        refit_norms(model, [images[:3], images[3:]])
        after = model(images)
        stem = model.backbone.get_submodule("features.0")
        assert isinstance(stem, nn.Sequential)
        maps = stem[0]((images - model.pixel_mean) / model.pixel_std)
        as_trained = model.train()(images)
    assert before.logits.std(0).max() > 0.01
    assert_close(after.logits, before.logits, rtol=1e-3, atol=1e-4)
    assert_close(after.offsets, before.offsets, rtol=1e-3, atol=1e-4)
    norm = stem[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert_close(norm.running_mean, maps.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    assert_close(norm.running_var, maps.var((0, 2, 3), correction=0), rtol=1e-4, atol=1e-5)
    # These very images as one batch: training mode has the same statistics.
    assert_close(as_trained.logits, before.logits, rtol=1e-2, atol=1e-2)


def test_norms_need_an_image() -> None:
    with pytest.raises(ValueError, match="without an image"):
        refit_norms(small_detector(), [])
