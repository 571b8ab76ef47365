"""Post-training quantisation of ONNX graphs to int8, calibrated on images."""

# C output channels of a convolution

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from vision.extras import require_package, silenced
from vision.model import SSDLite
from vision.progress import progress
from vision.runtime.backend import Images
from vision.runtime.onnx_graph import OnnxRunner, temporary_file

NUM_FLOAT = 4
"""Number of first convolutions that stay in float: few channels, of widely different ranges."""

NUM_CORRECTED = 50
"""Number of images on which biases are corrected: each convolution needs a pass over them."""


def sensitive_nodes(model: Any, network: SSDLite) -> list[str]:  # noqa: ANN401
    """Names of the convolutions that stay in float: the first few, and all of the heads.

    A 20-class detector with a voc.mAP50 of .4055 had .3992 with all convolutions in int8, and .4036
    with these in float, at the cost of a tenth of the speed.

    Args:
        model: An `onnx.ModelProto` from `vision.runtime.onnx_graph.to_onnx`.
        network: The network from which it was converted.
    """
    weights = {f"network.{key}" for key in network.head_keys()}  # a `Graph` holds the network
    nodes = [node for node in model.graph.node if node.op_type == "Conv"]
    heads = [node for node in nodes if node.input[1] in weights]
    return [node.name for node in (*nodes[:NUM_FLOAT], *heads)]


def quantise_onnx(model: Any, calibration: Images, in_float: Sequence[str]) -> Any:  # noqa: ANN401
    """Quantise statically: convolutions and sums between quantise-dequantise pairs (QDQ).

    Weights are int8 by channel, in half of its range; activations are uint8; pixels and boxes are
    not quantised. With the whole range, processors without VNNI overflow when they add pairs of
    products in 16 bits: there, a detector with a voc.mAP50 of .762 had .621, and .752 with half the
    range (.751 with uint8 weights, which take 1.2 times as long). Then biases are corrected:
    another detector lost .85 points without the correction, and .24 with it.

    Args:
        model: An `onnx.ModelProto`.
        calibration: Images in the form that the graph takes.
        in_float: Names of the convolutions that stay in float, such as `sensitive_nodes`.

    Returns:
        An `onnx.ModelProto` with the same metadata.
    """
    quantization = require_package("onnxruntime.quantization")
    preparation = require_package("onnxruntime.quantization.shape_inference")
    onnx = require_package("onnx")
    name = model.graph.input[0].name
    feeds = iter(progress([{name: image} for image in calibration], "calibrate", unit=" images"))

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def get_next(self) -> dict[str, ndarray] | None:
            return next(feeds, None)

    with temporary_file(model) as path:
        prepared, quantised = path.with_name("prepared.onnx"), path.with_name("int8.onnx")
        preparation.quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        with silenced():
            quantization.quantize_static(
                str(prepared),
                str(quantised),
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "Add"],
                nodes_to_exclude=list(in_float),
                per_channel=True,
                weight_type=quantization.QuantType.QInt8,
                activation_type=quantization.QuantType.QUInt8,
                calibrate_method=quantization.CalibrationMethod.MinMax,
                reduce_range=True,
            )
        result = onnx.load(quantised)
    _correct_biases(result, model, calibration[:NUM_CORRECTED])
    result.producer_name, result.producer_version = model.producer_name, model.producer_version
    onnx.helper.set_model_props(result, {prop.key: prop.value for prop in model.metadata_props})
    return result


def _correct_biases(quantised: Any, model: Any, images: Images) -> None:  # noqa: ANN401
    """Correct biases in place: each convolution's output gets its float mean in each channel.

    Rounded weights shift a convolution's mean output, most of all in depthwise convolutions, whose
    channels sum few products; the shifts add up from layer to layer. So the convolutions are
    corrected in the order in which they run, each after those before it (empirical bias correction,
    arXiv 1906.04721, section 4.2). Correcting all at once would correct the same shift many times
    over. Convolutions without a bias in the graph are skipped.
    """
    onnx = require_package("onnx")
    made_by = {output: node for node in quantised.graph.node for output in node.output}
    tensors = {tensor.name: tensor for tensor in quantised.graph.initializer}
    convolutions = [
        node for node in quantised.graph.node if node.op_type == "Conv" and len(node.input) > 2
    ]
    if not convolutions:
        return  # ONNX Runtime refuses a graph without outputs.
    in_float = {node.name: node.output[0] for node in model.graph.node if node.op_type == "Conv"}
    means = channel_means(model, [in_float[node.name] for node in convolutions], images)
    for node, mean in progress(
        zip(convolutions, means, strict=True), "correct biases", len(convolutions)
    ):
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
    """Return the mean over all images of each channel of the graph's tensors ``outputs``."""
    onnx = require_package("onnx")
    part = onnx.ModelProto()
    part.CopyFrom(model)
    del part.graph.output[:]
    for name in outputs:
        value = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        part.graph.output.append(value)
    _remove_unused(part.graph)
    run = OnnxRunner(part.SerializeToString())
    means = [[values.mean(axis=(0, 2, 3), dtype=np.float64) for values in run(i)] for i in images]
    return [np.mean(column, axis=0) for column in zip(*means, strict=True)]


def _remove_unused(graph: Any) -> None:  # noqa: ANN401
    """Remove nodes on which no output depends, in place: ONNX Runtime would run them too."""
    needed = {output.name for output in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if not needed.isdisjoint(node.output):
            needed.update(node.input)
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(reversed(nodes))
