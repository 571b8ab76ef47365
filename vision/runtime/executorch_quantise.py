"""Post-training quantisation to 8 bits, as XNNPACK computes it in ExecuTorch."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor

from vision.extras import require_package

_ANNOTATION = "quantization_annotation"
"""Key of torchao's annotations in a node's metadata."""
_CONV, _ADD = torch.ops.aten.conv2d.default, torch.ops.aten.add.Tensor
_PAD, _RELU6 = torch.ops.aten.pad.default, torch.ops.aten.hardtanh.default


def quantise_executorch(
    module: Any,  # noqa: ANN401
    example: tuple[Tensor],
    calibration: Iterable[UInt8[ndarray, "1 H W 3"]],
) -> Any:  # noqa: ANN401
    """Quantise the convolutions and sums of a graph's network to 8 bits, weights by channel.

    XNNPACK runs padding, convolution and ReLU6 as one operation, but its quantiser does not know
    that: it would measure a convolution's range before ReLU6 clips it, which is many times as wide.
    Everything else stays in float, including decoding and scores.

    Args:
        module: A `vision.runtime.graphs.Graph`, in contiguous memory.
        example: Example arguments of the module.
        calibration: Images in the form that the module takes.
    """
    pt2e = require_package("torchao.quantization.pt2e.quantize_pt2e", "executorch")
    quantizer = require_package("torchao.quantization.pt2e.quantizer", "executorch")
    xnnpack = require_package(
        "executorch.backends.xnnpack.quantizer.xnnpack_quantizer", "executorch"
    )

    class Quantizer(xnnpack.XNNPACKQuantizer):  # type: ignore[misc, name-defined]
        def annotate(self, model: Any) -> Any:  # noqa: ANN401
            annotated = super().annotate(model)
            for node in annotated.graph.nodes:
                if node.target == _CONV and _ANNOTATION in node.meta:
                    _join(node, quantizer.QuantizationAnnotation)
            return annotated

    rules = Quantizer().set_filter_function(_is_in_network)
    settings = xnnpack.get_symmetric_quantization_config(is_per_channel=True)
    for operator in (_CONV, _ADD):
        rules.set_operator_type(operator, settings)
    prepared = pt2e.prepare_pt2e(torch.export.export(module, example, strict=False).module(), rules)
    for image in calibration:
        prepared(torch.from_numpy(np.ascontiguousarray(image)))
    return pt2e.convert_pt2e(prepared)


def _is_in_network(node: Any) -> bool:  # noqa: ANN401
    """Whether a node belongs to the network's layers, or is a weight, which names no layer."""
    modules = [name for name, _ in node.meta.get("nn_module_stack", {}).values()]
    return node.op != "call_function" or any(name.startswith("network") for name in modules)


def _join(conv: Any, annotation: Any) -> None:  # noqa: ANN401
    """Measure a convolution's input before its padding, and its output after its ReLU6."""
    padded, settings = conv.args[0], conv.meta[_ANNOTATION]
    if padded.target == _PAD:
        inputs = {padded.args[0]: settings.input_qspec_map.pop(padded)}
        padded.meta[_ANNOTATION] = annotation(input_qspec_map=inputs, _annotated=True)
    (*others, user) = conv.users
    if not others and user.target == _RELU6:
        user.meta[_ANNOTATION] = annotation(output_qspec=settings.output_qspec, _annotated=True)
        settings.output_qspec = None
