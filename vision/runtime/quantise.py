"""Post-training quantisation to int8, calibrated on images."""

from collections.abc import Iterator, Sequence
from typing import Any

from numpy import ndarray

from vision.runtime.bias_correction import Batches, correct_biases
from vision.runtime.extras import require_package, silenced
from vision.runtime.temporary import temporary_file

__all__ = ["quantise_onnx", "quantise_openvino", "sensitive_nodes"]

NUM_FLOAT = 4
"""First convolutions that stay in float: few channels of widely different ranges."""

NUM_CORRECTED = 50
"""Images that biases are corrected on: each convolution is a pass over them."""


def sensitive_nodes(model: Any) -> list[str]:  # noqa: ANN401
    """Names of the convolutions that stay in float: the first few, and all of the heads.

    Measured on a 20-class detector (voc.mAP50 .4055): all in int8 .3992, without these .4036, for
    a tenth of the speed.

    Args:
        model: An `onnx.ModelProto` of `vision.runtime.onnx.to_onnx`.
    """
    nodes = [node for node in model.graph.node if node.op_type == "Conv"]
    heads = [node for node in nodes if "_heads." in node.input[1]]
    return [node.name for node in (*nodes[:NUM_FLOAT], *heads)]


def quantise_onnx(model: Any, batches: Batches) -> Any:  # noqa: ANN401
    """ONNX Runtime's static quantisation: convolutions and sums between quantise-dequantise pairs.

    Weights are int8 by channel, of half its range; activations uint8; pixels and boxes stay as
    they are. With the whole range processors without VNNI add pairs of products in 16 bits where
    they do not fit: a detector with a voc.mAP50 of .762 had .621 there, and .752 so (.751 with
    uint8 weights, at 1.2 times the time). Biases are corrected then: without, another lost .85
    points, with it .24.

    Args:
        model: An `onnx.ModelProto`.
        batches: Images to calibrate on, one by one, as the graph takes them.

    Returns:
        An `onnx.ModelProto` with the same metadata.
    """
    quantization = require_package("onnxruntime.quantization")
    preparation = require_package("onnxruntime.quantization.shape_inference")
    onnx = require_package("onnx")
    name = model.graph.input[0].name
    feeds: Iterator[dict[str, ndarray]] = iter([{name: batch} for batch in batches])

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
                nodes_to_exclude=sensitive_nodes(model),
                per_channel=True,
                weight_type=quantization.QuantType.QInt8,
                activation_type=quantization.QuantType.QUInt8,
                calibrate_method=quantization.CalibrationMethod.MinMax,
                reduce_range=True,
            )
        result = onnx.load(quantised)
    correct_biases(result, model, batches[:NUM_CORRECTED])
    onnx.helper.set_model_props(result, {prop.key: prop.value for prop in model.metadata_props})
    return result


def quantise_openvino(model: Any, batches: Batches, in_float: Sequence[str]) -> Any:  # noqa: ANN401
    """NNCF's quantisation for OpenVINO; decoding stays in float.

    Weights have half of int8's range, so that processors without VNNI can add pairs of products in
    16 bits: a detector with a voc.mAP50 of .762 had .757 there with the whole range, .761 so.

    Args:
        model: An `openvino.Model`.
        in_float: Names of `sensitive_nodes` of the ONNX graph that it comes from.
        batches: Images to calibrate on, one by one, as the graph takes them.

    Returns:
        An `openvino.Model` with the same metadata.
    """
    nncf = require_package("nncf")
    # OpenVINO makes two operations of a convolution with a bias.
    names = [op.get_friendly_name() for op in model.get_ordered_ops()]
    ignored = [name for name in names if name.removesuffix("/WithoutBiases") in in_float]
    with silenced():
        return nncf.quantize(
            model,
            nncf.Dataset(list(batches)),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(batches),
            fast_bias_correction=False,
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE
            ),
            ignored_scope=nncf.IgnoredScope(names=ignored, validate=False),
        )
