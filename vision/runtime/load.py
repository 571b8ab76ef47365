"""Whatever file a detector is in, to something that runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from numpy import ndarray

from vision.config import Config
from vision.device import choose_device
from vision.errors import ConfigError, WeightsError
from vision.model import build_decoding, build_post_process
from vision.runtime.graphs import FORMS
from vision.runtime.metadata import Metadata
from vision.runtime.onnx import OnnxRunner, to_onnx
from vision.runtime.openvino import OpenVinoRunner, openvino_metadata, read_openvino, to_openvino
from vision.runtime.sessions import (
    SUFFIXES,
    Backend,
    GraphSession,
    Precision,
    Session,
    TorchSession,
)
from vision.runtime.temporary import temporary_file
from vision.weights import SavedDetector, find_weights, load_weights

__all__ = ["Runnable", "RuntimeOptions", "load_runnable", "run_saved"]

BACKENDS: dict[str, Backend] = {suffix: backend for backend, suffix in SUFFIXES.items()}
"""By the suffix of an exported file."""


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """What to run a detector on.

    Attributes:
        backend: ``torch``, ``onnx`` (ONNX Runtime) or ``openvino``; None for what the file is of,
            and PyTorch for a weights file.
        device: ``cpu``, ``cuda``, ..., as the backend knows it; None for CUDA where PyTorch has
            it, and for the CPU elsewhere.
        precision: Of the layers; None for that of an exported file, and fp32 for a weights file.
        threads: For one call; None for what the backend takes by itself.
        streams: Calls that run at once, from several threads.
    """

    backend: Backend | None = None
    device: str | None = None
    precision: Precision | None = None
    threads: int | None = None
    streams: int = 1

    @property
    def graph_device(self) -> str:
        """Where an exported graph runs."""
        return "cpu" if self.device in {None, "auto"} else str(self.device)

    def __post_init__(self) -> None:
        for name, known in (("backend", Backend), ("precision", Precision)):
            value = getattr(self, name)
            if value is not None and value not in get_args(known):
                choices = ", ".join(get_args(known))
                raise ConfigError(f"{name}: expected one of {choices}, got {value}")
        for name in ("threads", "streams"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}: expected a number from 1 on, got {value}")


@dataclass(frozen=True, slots=True)
class Runnable:
    """A detector that is ready to run.

    Attributes:
        session: From images to boxes and scores.
        config: The configuration that it was trained with.
        names: Class names in label order.
        training: How it was trained.
    """

    session: Session
    config: Config
    names: list[str]
    training: Mapping[str, Any]


def load_runnable(weights: str | Path, engine: RuntimeOptions = RuntimeOptions()) -> Runnable:
    """A detector from a weights file, or from a graph of the form ``decoded`` that was exported.

    Raises:
        WeightsError: If the file is missing, damaged, none of ours, or of another form.
        ConfigError: If it cannot be run so here.
    """
    path = find_weights(weights)
    backend = BACKENDS.get(path.suffix.lower())
    if backend is None:
        return run_saved(load_weights(path), engine)
    if engine.backend not in {None, backend}:
        raise ConfigError(f"{path} runs in the backend {backend}, not in {engine.backend}")
    if backend == "onnx":
        runner = OnnxRunner(path, engine.graph_device, engine.threads)
        metadata = Metadata.from_strings(runner.strings, f"weights {path}")
        _check(path, metadata, engine.precision, {"fp32", metadata.precision})
        return _runnable(runner, metadata)
    model = read_openvino(path)
    metadata = openvino_metadata(model, f"weights {path}")
    _check(path, metadata, engine.precision, {"fp32", "bf16", "fp16"})
    return _openvino(model, metadata, engine, engine.precision or metadata.precision_of_layers)


def run_saved(saved: SavedDetector, engine: RuntimeOptions = RuntimeOptions()) -> Runnable:
    """A detector from weights, exported on the way where the backend is not PyTorch.

    Raises:
        ConfigError: If it cannot be run so here.
    """
    precision = engine.precision or "fp32"
    network = build_decoding(saved.model)
    if engine.backend in {None, "torch"}:
        if engine.threads is not None:
            torch.set_num_threads(engine.threads)
        device = choose_device(engine.device or "auto")
        session = TorchSession(network, device, precision)
        return Runnable(session, saved.config, saved.names, saved.training)
    if engine.backend == "onnx" and precision == "bf16":
        raise ConfigError("precision bf16 is not for ONNX Runtime; take openvino or torch")
    if precision == "int8" or (engine.backend == "onnx" and precision != "fp32"):
        raise ConfigError(
            f"precision {precision} of backend {engine.backend} takes a file; write one with"
            f" ssdlite export --to {engine.backend} --precision {precision}"
        )
    metadata = Metadata("decoded", "fp32", saved.config, saved.names, saved.training)
    model = to_onnx(network, build_post_process(saved.config.model), metadata)
    if engine.backend == "onnx":
        data = model.SerializeToString()
        return _runnable(OnnxRunner(data, engine.graph_device, engine.threads), metadata)
    with temporary_file(model) as path:
        graph = to_openvino(path)
    return _openvino(graph, metadata, engine, precision)


def _openvino(
    model: Any,  # noqa: ANN401
    metadata: Metadata,
    engine: RuntimeOptions,
    precision: Precision,
) -> Runnable:
    runner = OpenVinoRunner(
        model,
        device=engine.graph_device,
        precision=precision,
        threads=engine.threads,
        streams=engine.streams,
    )
    return _runnable(runner, metadata)


def _runnable(runner: Callable[[ndarray], list[ndarray]], metadata: Metadata) -> Runnable:
    session = GraphSession(runner, metadata.config.model.image_size)
    return Runnable(session, metadata.config, metadata.names, metadata.training)


def _check(
    path: Path, metadata: Metadata, asked: Precision | None, in_float: set[Precision]
) -> None:
    """Refuse a graph that is not the one to run; one that is not int8 runs as ``in_float`` says."""
    if metadata.form != "decoded":
        raise WeightsError(
            f"weights {path} are of the form {metadata.form} ({FORMS[metadata.form]}); this runs"
            " the form decoded"
        )
    allowed = {"int8"} if metadata.precision == "int8" else in_float
    if asked is not None and asked not in allowed:
        raise ConfigError(
            f"weights {path} are {metadata.precision} and do not run in {asked}; leave the"
            " precision out, or export anew"
        )
