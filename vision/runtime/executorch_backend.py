"""ExecuTorch: .pte files for phones and embedded boards, which run in XNNPACK."""

# N batch

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Shaped
from numpy import ndarray

from vision.choices import Form, Precision
from vision.errors import ConfigError, WeightsError
from vision.extras import require_package, silenced
from vision.model import SSDLite
from vision.progress import progress
from vision.runtime.backend import Images, Precisions, RuntimeOptions
from vision.runtime.executorch_quantise import quantise_executorch
from vision.runtime.fork import SPAWN, OwnProcess
from vision.runtime.graphs import GRAPHS, Graph, without_shape_checks
from vision.runtime.metadata import Metadata
from vision.weights import find_weights

_METADATA = "ssdlite"
"""Name of the method that returns the metadata."""


class ExecuTorchBackend:
    """See `vision.runtime.backend.GraphBackend`."""

    title: ClassVar[str] = "ExecuTorch"
    suffix: ClassVar[str] = ".pte"
    forms: ClassVar[tuple[Form, ...]] = ("raw", "decoded")
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32",)
    file_precisions: ClassVar[Precisions] = {"fp32": ("fp32",), "int8": ("int8",)}
    benchmarked: ClassVar[Precisions] = {"fp32": ("fp32",), "int8": ("int8",)}

    def build(self, network: SSDLite, options: RuntimeOptions) -> "ExecuTorchRunner":
        """Return the runner of a program that is kept in memory."""
        return ExecuTorchRunner(_lower(GRAPHS["decoded"](network, None), (), {}), options)

    def write(self, path: Path, network: SSDLite, metadata: Metadata, calibration: Images) -> None:
        """Write one .pte file, which takes one image at a time."""
        graph = GRAPHS[metadata.form](network, None)
        text = metadata.to_json(graph.input_name, graph.output_names)
        path.write_bytes(_lower(graph, calibration, {_METADATA: text}))

    def read_metadata(self, path: Path) -> Metadata:
        """Read the metadata of a .pte file."""
        program = _load(path)
        if _METADATA not in program.method_names:
            raise WeightsError(f"weights {path} were not written by ssdlite export")
        (text,) = program.load_method(_METADATA).execute([])
        return Metadata.from_json(str(text), f"weights {path}")

    def open(self, path: Path, options: RuntimeOptions) -> "ExecuTorchRunner":
        """Make a .pte file ready to run."""
        return ExecuTorchRunner(path, options)


def _lower(graph: Graph, calibration: Images, constants: dict[str, str]) -> bytes:
    """Return the bytes of a graph's .pte file, quantised if there are calibration images."""
    exir = require_package("executorch.exir", "executorch")
    xnnpack = require_package(
        "executorch.backends.xnnpack.partition.xnnpack_partitioner", "executorch"
    )
    # XNNPACK's passes refuse weights in channels-last memory.
    module = graph.traceable().to(memory_format=torch.contiguous_format)
    example = (graph.example(1),)
    images = progress(calibration, "calibrate", unit=" images") if calibration else None
    with silenced(), without_shape_checks(), torch.no_grad():
        if images is not None:
            module = quantise_executorch(module, example, images)
        program = torch.export.export(module, example, strict=False)
        lowered = exir.to_edge_transform_and_lower(
            program,
            partitioner=[xnnpack.XnnpackPartitioner()],
            constant_methods=constants or None,
        ).to_executorch()
    return bytes(lowered.buffer)


def _load(source: Path | bytes) -> Any:  # noqa: ANN401
    with silenced():  # It warns while it is imported.
        runtime = require_package("executorch.runtime", "executorch")
    if isinstance(source, Path):
        find_weights(source)
    try:
        return runtime.Runtime.get().load_program(
            source, verification=runtime.Verification.InternalConsistency
        )
    except RuntimeError as error:
        raise WeightsError(
            f"weights {source!s:.200} cannot be read by ExecuTorch: {error}"
        ) from error


class ExecuTorchRunner:
    """Runs a program in ExecuTorch on the CPU, image by image.

    Args:
        source: A .pte file, or its bytes.
        options: The device; ExecuTorch chooses the number of threads itself.

    Raises:
        ConfigError: If ExecuTorch is not installed, or the device is not the CPU.
        WeightsError: If the file is missing or damaged.
    """

    def __init__(self, source: Path | bytes, options: RuntimeOptions) -> None:
        if options.graph_device != "cpu":
            raise ConfigError(
                f"device {options.graph_device} cannot be used by ExecuTorch; use cpu"
            )
        self._source = source.resolve() if isinstance(source, Path) else source
        self._options = options
        self._process = OwnProcess(ExecuTorchBackend.title, None, SPAWN)
        self._program = _load(source)
        self._method = self._program.load_method("forward")

    def __call__(self, images: Shaped[ndarray, "N ..."]) -> list[ndarray]:
        """Run the program; return its outputs."""
        self._process.check()
        rows = [
            [one.numpy().copy() for one in self._method.execute([torch.from_numpy(image[None])])]
            for image in images
        ]
        return [np.concatenate(column) for column in zip(*rows, strict=True)]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path, or the bytes of a program that has no file."""
        return ExecuTorchRunner, (self._source, self._options)
