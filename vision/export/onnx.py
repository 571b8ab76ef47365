"""ONNX: graphs from networks, and running them in ONNX Runtime."""

# N batch, H W the network's height and width

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from vision.errors import ConfigError, WeightsError
from vision.export.extras import need
from vision.export.graphs import build_graph
from vision.export.metadata import Metadata
from vision.export.suppression import append_suppression
from vision.model import DecodingNetwork, PostProcess
from vision.structures import Decoded

__all__ = ["OPSET", "OnnxSession", "onnx_metadata", "to_onnx"]

OPSET = 18


def to_onnx(network: DecodingNetwork, post_process: PostProcess, metadata: Metadata) -> Any:  # noqa: ANN401
    """A network in one of the forms, with its metadata, for batches of any size.

    Args:
        network: What to export; for fp16 its layers are in float16.
        post_process: For the form ``nms``.
        metadata: Of the graph; they say which form.

    Returns:
        An `onnx.ModelProto`.

    Raises:
        ConfigError: If the packages are not installed, or the form cannot be had.
    """
    need("onnx")
    need("onnxscript")
    graph = build_graph(metadata.form, network, post_process)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph.module,
            (graph.example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[graph.input],
            output_names=list(graph.outputs),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    if metadata.form == "nms":
        append_suppression(model, post_process, len(metadata.names))
    outputs = [output.name for output in model.graph.output]
    need("onnx").helper.set_model_props(model, metadata.to_strings(graph.input, outputs))
    return model


def onnx_metadata(path: Path) -> Metadata:
    """The metadata of a file.

    Raises:
        ConfigError: If ONNX Runtime is not installed.
        WeightsError: If the file is missing, damaged, or none of ours.
    """
    session = _open(path, threads=1, device="cpu")
    return Metadata.from_strings(session.get_modelmeta().custom_metadata_map, str(path))


class OnnxSession:
    """Runs a graph of the form ``decoded`` in ONNX Runtime.

    Args:
        model: A file, or the bytes of one.
        image_size: (height, width) that it takes.
        device: ``cpu`` or ``cuda``.
        threads: For one call; None for all cores.

    Raises:
        ConfigError: If ONNX Runtime is not installed or has no such device.
        WeightsError: If the file is missing or damaged.
    """

    def __init__(
        self,
        model: Path | bytes,
        image_size: tuple[int, int],
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        self.image_size = image_size
        self._session = _open(model, threads, device)

    def __call__(self, images: UInt8[Tensor, "N 3 H W"]) -> Decoded:
        """Boxes and scores of each prior."""
        pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
        return Decoded(*map(torch.from_numpy, self._session.run(None, {"images": pixels})))


def _open(model: Path | bytes, threads: int | None, device: str) -> Any:  # noqa: ANN401
    runtime = need("onnxruntime")
    provider = f"{device.split(':', maxsplit=1)[0].upper()}ExecutionProvider"
    if provider not in runtime.get_available_providers():
        raise ConfigError(f"device {device} cannot be used by ONNX Runtime here; try cpu")
    if isinstance(model, Path) and not model.is_file():
        raise WeightsError(f"weights {model} do not exist")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    try:
        source = model if isinstance(model, bytes) else str(model)
        return runtime.InferenceSession(source, options, providers=[provider])
    except Exception as error:
        # ONNX Runtime's errors have no common class but Exception.
        raise WeightsError(f"weights {model!s:.200} cannot be read as ONNX: {error}") from error
