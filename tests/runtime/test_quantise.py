"""Quantisation to int8: what stays in float, and corrected biases."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.exported import Images
from vision.runtime import quantise
from vision.runtime.quantise import NUM_FLOAT, channel_means, quantise_onnx, sensitive_nodes
from vision.weights import SavedDetector

onnx: Any = pytest.importorskip("onnx")


@pytest.mark.slow
def test_biases_make_up_for_rounding(
    exported: dict[str, Path],
    saved: SavedDetector,
    images: Images,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each convolution gives on average what it gave in float; without correction it does not."""
    model = onnx.load(exported["onnx"])
    batches, in_float = [image[None] for image in images[:4]], sensitive_nodes(model, saved.model)
    corrected = quantise_onnx(model, batches, in_float)
    monkeypatch.setattr(quantise, "_correct_biases", lambda *_: None)
    rounded = quantise_onnx(model, batches, in_float)
    outputs = [node.output[0] for node in model.graph.node if node.op_type == "Conv"]
    expected = channel_means(model, outputs, batches)
    after, before = (
        np.mean([np.abs(e - n).mean() for e, n in zip(expected, means, strict=True)])
        for means in (channel_means(graph, outputs, batches) for graph in (corrected, rounded))
    )
    (alone,) = channel_means(corrected, outputs[5:6], batches)
    np.testing.assert_allclose(alone, channel_means(corrected, outputs, batches)[5], rtol=1e-6)
    assert before > 0.001
    assert after < before / 10


@pytest.mark.slow
def test_a_graph_whose_convolutions_have_no_biases_can_be_quantised(images: Images) -> None:
    helper, proto = onnx.helper, onnx.TensorProto
    weight = onnx.numpy_helper.from_array(np.full((4, 3, 1, 1), 0.5, np.float32), "weight")
    values = [
        helper.make_tensor_value_info(name, proto.FLOAT, [1, channels, None, None])
        for name, channels in (("images", 3), ("maps", 4))
    ]
    node = helper.make_node("Conv", ["images", "weight"], ["maps"], name="conv")
    graph = helper.make_graph([node], "graph", values[:1], values[1:], [weight])
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    batches = [image[None].transpose(0, 3, 1, 2).astype(np.float32) for image in images]
    quantised = quantise_onnx(model, batches[:4], [])
    assert [output.name for output in quantised.graph.output] == ["maps"]


def test_the_first_convolutions_and_the_heads_stay_in_float(
    exported: dict[str, Path], saved: SavedDetector
) -> None:
    model = onnx.load(exported["onnx"])
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    kept = sensitive_nodes(model, saved.model)
    assert kept[:NUM_FLOAT] == [node.name for node in convolutions[:NUM_FLOAT]]
    assert len(kept) == NUM_FLOAT + 24  # six levels, two heads, two convolutions each
