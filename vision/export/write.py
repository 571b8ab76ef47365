"""Exporting: write a graph, and prove that what lies on the disk answers as PyTorch does."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from numpy import ndarray

from vision.errors import ConfigError, WeightsError
from vision.export.compare import (
    LEAST_SCORE,
    MAX_HALF_SCORE_ERROR,
    MAX_SCORE_ERROR,
    Agreement,
    Runner,
    compare,
    require,
)
from vision.model import PostProcess, build_decoding, build_post_process
from vision.runtime.bias_correction import Batches
from vision.runtime.extras import require_package
from vision.runtime.graphs import Form, graph_input
from vision.runtime.metadata import Metadata
from vision.runtime.onnx import OnnxRunner, to_onnx
from vision.runtime.openvino import OpenVinoRunner, read_openvino, to_openvino
from vision.runtime.quantise import quantise_onnx, quantise_openvino, sensitive_nodes
from vision.runtime.sessions import SUFFIXES, Backend, Precision
from vision.runtime.temporary import temporary_file
from vision.weights import SavedDetector

__all__ = ["NUM_CALIBRATED", "NUM_COMPARED", "Export", "ExportSpec", "export"]

Images = Sequence[UInt8[ndarray, "H W 3"]]

NUM_COMPARED = 64
"""Images that the commands compare on."""
NUM_CALIBRATED = 300
"""Images that they calibrate int8 on."""


@dataclass(frozen=True, slots=True)
class ExportSpec:
    """What to export.

    Attributes:
        backend: ``onnx`` or ``openvino``.
        form: One of `vision.export.FORMS`.
        precision: ``fp32``; ``fp16``, which keeps weights in half the space and leaves it to the
            runtime what to compute in; or ``int8``.
    """

    backend: Backend
    form: Form = "decoded"
    precision: Precision = "fp32"

    def file(self, folder: Path, stem: str) -> Path:
        """Where it goes: ``W_decoded_fp32.onnx``."""
        name = f"{stem}_{self.form}_{self.precision}{SUFFIXES[self.backend]}"
        return folder / name


@dataclass(frozen=True, slots=True)
class Export:
    """What was written.

    Attributes:
        path: The graph; OpenVINO's weights lie beside it in a .bin file.
        agreement: With PyTorch in float32, of the same weights: for fp16, of those rounded to it.
        rounding: For fp16: how the graph differs from the weights before they were rounded.
    """

    path: Path
    agreement: Agreement
    rounding: Agreement | None = None


def export(
    saved: SavedDetector, request: ExportSpec, path: Path, images: Images, calibration: Images = ()
) -> Export:
    """Write a graph, run it and compare it.

    Args:
        saved: The weights.
        request: What to make of them.
        path: Where to; nothing is there unless the graph agrees.
        images: Of the network's size, to compare on.
        calibration: Of the network's size, for int8.

    Raises:
        ConfigError: If a package is missing, or the form or precision cannot be had.
        WeightsError: If the graph does not answer as PyTorch does (int8 is excepted: judge it by
            its average precision), nothing is found in the images, or it cannot be written.
    """
    if request.precision == "int8" and not calibration:
        raise ConfigError("precision int8 takes images to calibrate on")
    if request.precision != "int8":
        calibration = ()
    network = build_decoding(saved.model)
    if request.precision == "fp16":
        network.round_weights(torch.float16)
    post_process = build_post_process(saved.config.model)
    metadata = Metadata(request.form, request.precision, saved.config, saved.names, saved.training)
    out = path.parent
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", suffix=".partial", dir=out) as folder:
            draft = Path(folder) / path.name
            model = to_onnx(network, post_process, metadata)
            batches = [graph_input(request.form, image[None]) for image in calibration]
            _WRITERS[request.backend](draft, model, request.precision, batches)
            runner = _open(draft, metadata)
            comparable = _comparable(post_process)
            tolerance = MAX_HALF_SCORE_ERROR if request.precision == "fp16" else MAX_SCORE_ERROR
            agreement = compare(runner, request.form, network, comparable, images, tolerance)
            if request.precision != "int8":
                require(agreement, path.name, tolerance)
            rounding = None
            if request.precision == "fp16":
                whole = build_decoding(saved.model)
                rounding = compare(runner, request.form, whole, comparable, images, tolerance)
            for part in sorted(Path(folder).iterdir()):
                part.replace(out / part.name)
    except OSError as error:
        raise WeightsError(f"{path} cannot be written: {error.strerror or error}") from error
    return Export(path, agreement, rounding)


def _open(path: Path, metadata: Metadata) -> Runner:
    """A file as it lies on the disk, ready to run."""
    if path.suffix == ".onnx":
        return OnnxRunner(path)
    return OpenVinoRunner(read_openvino(path), precision=metadata.precision_of_layers)


def _comparable(post_process: PostProcess) -> PostProcess:
    """The same with a threshold low enough for comparison."""
    assert isinstance(post_process.score_threshold, float)
    least = min(LEAST_SCORE / 2, post_process.score_threshold)
    return replace(post_process, score_threshold=least)


def _write_onnx(path: Path, model: Any, _: Precision, batches: Batches) -> None:  # noqa: ANN401
    if batches:
        model = quantise_onnx(model, batches)
    path.write_bytes(model.SerializeToString())


def _write_openvino(path: Path, model: Any, precision: Precision, batches: Batches) -> None:  # noqa: ANN401
    openvino = require_package("openvino")
    with temporary_file(model) as source:
        graph = to_openvino(source)
    if batches:
        graph = quantise_openvino(graph, batches, sensitive_nodes(model))
    try:
        openvino.save_model(graph, path, compress_to_fp16=precision == "fp16")
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise WeightsError(f"{path.name} cannot be written: {reason}") from error


_WRITERS = {"onnx": _write_onnx, "openvino": _write_openvino}
