"""Biases that make up for what rounding to int8 shifts."""

# C output channels of a convolution

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from vision.runtime.backend import Images
from vision.runtime.extras import require_package
from vision.runtime.onnx_graph import OnnxRunner

__all__ = ["channel_means", "correct_biases"]


def correct_biases(quantised: Any, model: Any, images: Images) -> None:  # noqa: ANN401
    """Give each convolution's output the mean by channel that it has in float.

    Rounded weights shift what a convolution gives on average, and depthwise ones, whose channels
    sum few products, most of all; the shifts add up from layer to layer. So the convolutions are
    taken in the order in which they run, each with those before it corrected (empirical bias
    correction, arXiv 1906.04721, section 4.2). Correcting all at once would correct the same shift
    many times over. One that learnt nothing has no bias in the graph, and is left alone.

    Args:
        quantised: An `onnx.ModelProto` between quantise-dequantise pairs; it is changed in place.
        model: The `onnx.ModelProto` in float that it comes from, with the same names.
        images: In the form that the graph takes.
    """
    onnx = require_package("onnx")
    made_by = {output: node for node in quantised.graph.node for output in node.output}
    tensors = {tensor.name: tensor for tensor in quantised.graph.initializer}
    convolutions = [
        node for node in quantised.graph.node if node.op_type == "Conv" and len(node.input) > 2
    ]
    in_float = {node.name: node.output[0] for node in model.graph.node if node.op_type == "Conv"}
    means = channel_means(model, [in_float[node.name] for node in convolutions], images)
    for node, mean in zip(convolutions, means, strict=True):
        (now,) = channel_means(quantised, [node.output[0]], images)
        source = made_by.get(node.input[2])
        bias, unit = (source.input[0], source.input[1]) if source else (node.input[2], None)
        shift = mean - now
        if unit is not None:
            shift = np.rint(shift / onnx.numpy_helper.to_array(tensors[unit]))
        values = onnx.numpy_helper.to_array(tensors[bias])
        corrected = (values + shift).astype(values.dtype)
        tensors[bias].CopyFrom(onnx.numpy_helper.from_array(corrected, bias))


def channel_means(
    model: Any,  # noqa: ANN401
    outputs: Sequence[str],
    images: Images,
) -> list[Float64[ndarray, " C"]]:
    """Means by channel of some of a graph's tensors over images."""
    onnx = require_package("onnx")
    part = onnx.ModelProto()
    part.CopyFrom(model)
    del part.graph.output[:]
    for name in outputs:
        value = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        part.graph.output.append(value)
    run = OnnxRunner(part.SerializeToString())
    sums = [np.zeros(())] * len(outputs)
    for image in images:
        answers = run(image)
        sums = [
            total + answer.mean(axis=(0, 2, 3), dtype=np.float64)
            for total, answer in zip(sums, answers, strict=True)
        ]
    return [total / len(images) for total in sums]
