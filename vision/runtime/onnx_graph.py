"""ONNX: conversion of networks to graphs, and running them in ONNX Runtime."""

# N batch

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from numpy import ndarray

from vision.choices import device_name
from vision.errors import ConfigError, WeightsError
from vision.extras import require_package, silenced
from vision.model import SSDLite, build_post_process
from vision.runtime.fork import IN_MEMORY, OwnProcess
from vision.runtime.graphs import GRAPHS, without_shape_checks
from vision.runtime.metadata import Metadata, Shapes
from vision.runtime.suppression import append_suppression, check_suppression
from vision.weights import find_weights

OPSET = 18


def to_onnx(network: SSDLite, metadata: Metadata | None = None) -> Any:  # noqa: ANN401
    """Convert a network to one of the forms, with its metadata, for batches of any size.

    Args:
        network: From `vision.model.fuse`; for fp16, with weights that float16 can represent.
        metadata: The metadata, which name the form and the precision; None for ``decoded`` in fp32.

    Returns:
        An `onnx.ModelProto`.

    Raises:
        ConfigError: If the packages are not installed, or the form is not available.
    """
    onnx = require_package("onnx")
    require_package("onnxscript")
    post_process = None if metadata is None else build_post_process(metadata.config.model)
    form = "decoded" if metadata is None else metadata.form
    if post_process is not None and form in {"nms", "frigate"}:
        check_suppression(post_process)
    graph = GRAPHS[form](network, post_process)
    with silenced(), without_shape_checks():
        program = torch.onnx.export(
            graph.traceable(),
            (graph.example(),),
            dynamo=True,
            opset_version=OPSET,
            input_names=[graph.input_name],
            output_names=list(graph.output_names),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param, "the batch is fixed"
    if metadata is None or post_process is None:
        return model
    if metadata.precision == "fp16":
        _halve(model)
    if metadata.form in {"nms", "frigate"}:
        append_suppression(model, post_process, len(metadata.names))
    outputs = [output.name for output in model.graph.output]
    strings = metadata.to_strings(graph.input_name, outputs)
    onnx.helper.set_model_props(model, strings)
    _label(model, strings["producer"])
    return model


def _label(model: Any, producer: str) -> None:  # noqa: ANN401
    """Name a model's producer and its nodes; remove the exporter's notes, which have paths."""
    model.producer_name, _, model.producer_version = producer.partition(" ")
    model.graph.name = model.producer_name
    for node in model.graph.node:
        node.name = node.name or node.output[0]
    for part in (model.graph, *model.graph.node, *model.graph.value_info):
        del part.metadata_props[:]


@contextmanager
def temporary_file(model: Any) -> Iterator[Path]:  # noqa: ANN401
    """Write an `onnx.ModelProto` to a file for the block, for libraries that only read files."""
    with tempfile.TemporaryDirectory(prefix="ssdlite-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.SerializeToString())
        yield path


def _halve(model: Any) -> None:  # noqa: ANN401
    """Store the convolutions' weights in float16; Cast nodes convert them back to float32."""
    onnx = require_package("onnx")
    graph = model.graph
    weights = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    casts = []
    for tensor in graph.initializer:
        if tensor.name in weights:
            values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            name, half = tensor.name, f"{tensor.name}_half"
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, half))
            casts.append(onnx.helper.make_node("Cast", [half], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


class OnnxRunner:
    """Runs a graph in ONNX Runtime.

    Args:
        model: A file, or the bytes of one.
        device: ``cpu`` or ``cuda``.
        threads: Number of threads of a call; None for all cores.
        optimised: Whether ONNX Runtime optimises the graph, which takes most of the loading time.

    Attributes:
        strings: The metadata in the file, for `Metadata.from_strings`.
        inputs: Shapes of the graph's inputs, for `Metadata.check_graph`.
        outputs: Shapes of the graph's outputs.

    Raises:
        ConfigError: If ONNX Runtime is not installed or has no such device.
        WeightsError: If the file is missing or damaged.
    """

    def __init__(
        self,
        model: Path | bytes,
        device: str = "cpu",
        threads: int | None = None,
        *,
        optimised: bool = True,
    ) -> None:
        self._path = model.resolve() if isinstance(model, Path) else None
        self._device, self._threads = device, threads
        self._process = OwnProcess("ONNX Runtime", threads)
        runtime = require_package("onnxruntime")
        kind = device_name(device).partition(":")[0]
        provider = f"{kind.upper()}ExecutionProvider"
        if provider not in runtime.get_available_providers():
            raise ConfigError(f"device {device} cannot be used by ONNX Runtime here; try cpu")
        if isinstance(model, Path):
            find_weights(model)  # raises if it cannot be opened
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        # Threads that spin between calls would slow down resizing and suppression.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not optimised:
            options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        source = model if isinstance(model, bytes) else str(model)
        try:
            self._session = runtime.InferenceSession(source, options, providers=[provider])
        except Exception as error:
            # ONNX Runtime's errors have no common class but Exception.
            reason = str(error).partition("\n")[0]
            text = f"weights {model!s:.200} cannot be read as ONNX: {reason}"
            raise WeightsError(text) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self._input = inputs[0].name if inputs else ""
        self.inputs, self.outputs = _shapes(inputs), _shapes(outputs)
        self.strings: dict[str, str] = self._session.get_modelmeta().custom_metadata_map

    def __call__(self, images: Shaped[ndarray, "N ..."]) -> list[ndarray]:
        """Run the graph; return its outputs."""
        self._process.check()
        outputs: list[ndarray] = self._session.run(None, {self._input: images})
        return outputs

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path: the file is opened again where it is unpickled."""
        if self._path is None:
            raise ConfigError(IN_MEMORY)
        return OnnxRunner, (self._path, self._device, self._threads)


def _shapes(values: Any) -> Shapes:  # noqa: ANN401
    return [[side if isinstance(side, int) else None for side in value.shape] for value in values]
