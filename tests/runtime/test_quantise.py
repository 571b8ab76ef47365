"""Quantisation to int8: what stays in float, the ranges measured, and corrected biases."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.exported import Images
from tests.reference_model import randomise
from tests.runs import few_blocks
from vision.config import ModelConfig
from vision.model import build_model, fuse
from vision.runtime import quantise
from vision.runtime.executorch_quantise import quantise_executorch
from vision.runtime.graphs import GRAPHS, without_shape_checks
from vision.runtime.onnx_graph import OnnxRunner
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

    def one_by_one(graph: Any) -> list[Any]:  # noqa: ANN401
        # As they are corrected: what ONNX Runtime joins with a layer depends on what is asked for.
        return [channel_means(graph, [output], batches)[0] for output in outputs]

    after, before = (
        np.mean([np.abs(e - n).mean() for e, n in zip(expected, means, strict=True)])
        for means in (one_by_one(corrected), one_by_one(rounded))
    )
    assert before > 0.001
    assert after < before / 10
    monkeypatch.setattr(quantise, "OnnxRunner", partial(OnnxRunner, optimised=False))
    (alone,) = channel_means(corrected, outputs[5:6], batches)
    np.testing.assert_allclose(alone, channel_means(corrected, outputs, batches)[5], rtol=1e-6)


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


@pytest.mark.filterwarnings("ignore")  # of the exporter
@pytest.mark.slow
def test_executorch_measures_convolutions_behind_relu6_and_before_padding(images: Images) -> None:
    """Ranges are those that ReLU6 leaves, padding is not rounded again, decoding is in float."""
    pytest.importorskip("executorch")
    config = ModelConfig(preset="tensorflow", image_size=(128, 128))
    with few_blocks(), without_shape_checks(), torch.no_grad():
        model = build_model(config, 2).eval()
        randomise(model)
        graph = GRAPHS["decoded"](fuse(model), None)
        module = graph.traceable().to(memory_format=torch.contiguous_format)
        quantised = quantise_executorch(module, (graph.example(1),), [i[None] for i in images[:2]])
    found: dict[str, list[Any]] = {}
    for node in quantised.graph.nodes:
        found.setdefault(str(node.target).removeprefix("aten.").partition(".")[0], []).append(node)
    for relu6 in found["hardtanh"]:
        (rounded,) = relu6.users
        assert relu6.args[0] in found["conv2d"]
        assert "quantize_per_tensor" in rounded.name
        assert rounded.args[1] <= 6.001 / 255
    padded = [node.args[0] in found["pad"] for node in found["conv2d"]]
    assert padded.count(True) == len(found["pad"])
    for name, count in (("conv2d", padded.count(False)), ("pad", len(found["pad"])), ("exp", 0)):
        inputs = [str(node.all_input_nodes[0].target) for node in found[name]]
        assert sum("dequantize" in one for one in inputs) == count
    # Of the sums of residual blocks both sides are in 8 bits, of those in decoding none.
    sides = [sum("dequantize" in str(n.target) for n in a.all_input_nodes) for a in found["add"]]
    assert sides == [2, 0, 0]
