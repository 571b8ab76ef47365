"""ncnn: .ncnn.param and .ncnn.bin files for phones and boards, converted by pnnx."""

# N batch, H W height and width of the network's input

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Shaped, UInt8
from numpy import ndarray
from torch import Tensor, nn

from vision.choices import Form, Precision
from vision.errors import ConfigError, WeightsError
from vision.extras import require_package, silenced
from vision.files import check_regular, read_bytes
from vision.model import SSDLite
from vision.runtime.backend import Images, Precisions, RuntimeOptions
from vision.runtime.fork import IN_MEMORY, OwnProcess
from vision.runtime.graphs import GRAPHS, Graph, without_shape_checks
from vision.runtime.metadata import Metadata

INPUT, OUTPUTS = "in0", ("out0", "out1")
"""pnnx's names: of the input, float RGB of 0 to 255, 3 x H x W, and of outputs without a batch."""


class NcnnBackend:
    """See `vision.runtime.backend.GraphBackend`."""

    title: ClassVar[str] = "ncnn"
    suffix: ClassVar[str] = ".ncnn.param"
    forms: ClassVar[tuple[Form, ...]] = ("raw", "decoded")
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32",)
    file_precisions: ClassVar[Precisions] = {"fp32": ("fp32",)}
    benchmarked: ClassVar[Precisions] = {"fp32": ("fp32",)}

    def build(self, network: SSDLite, options: RuntimeOptions) -> "NcnnRunner":
        """Return the runner of a graph, by way of a temporary file."""
        with tempfile.TemporaryDirectory(prefix="ssdlite-") as folder:
            path = Path(folder) / f"model{self.suffix}"
            _convert(GRAPHS["decoded"](network, None), path)
            return NcnnRunner(path, options)

    def write(self, path: Path, network: SSDLite, metadata: Metadata, calibration: Images) -> None:
        """Write the .param file, the .bin file of its weights and the metadata as .json."""
        del calibration
        graph = GRAPHS[metadata.form](network, None)
        _convert(graph, path)
        text = metadata.to_json(INPUT, OUTPUTS, "float32, 3 x H x W, RGB from 0 to 255")
        path.with_suffix(".json").write_text(text)

    def read_metadata(self, path: Path) -> Metadata:
        """Read the metadata from the .json file beside a .param file."""
        beside = path.with_suffix(".json")
        try:
            text = read_bytes(beside)
        except OSError as error:
            raise WeightsError(
                f"weights {path} need {beside.name} beside them: {error.strerror or error}"
            ) from error
        return Metadata.from_json(text, f"weights {beside}")

    def open(self, path: Path, options: RuntimeOptions) -> "NcnnRunner":
        """Make a .param file and the .bin file beside it ready to run."""
        return NcnnRunner(path, options)


class _Pixels(nn.Module):
    """A graph that takes float pixels with the channels first, as ncnn does."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.inner = graph.traceable()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return self.inner.outputs(images)


def _convert(graph: Graph, path: Path) -> None:
    """Write the .param and the .bin file of a graph."""
    pnnx = require_package("pnnx", "ncnn")
    example = graph.example(1).permute(0, 3, 1, 2).float()
    with (
        tempfile.TemporaryDirectory(prefix="ssdlite-") as folder,
        silenced(),
        _quiet_output(),
        without_shape_checks(),
        torch.no_grad(),
    ):
        traced = Path(folder) / "model.pt"
        module: Any = torch.jit.trace(_Pixels(graph).eval(), example)  # type: ignore[no-untyped-call]
        module.save(str(traced))
        pnnx.convert(str(traced), [example], fp16=False)
        for suffix in (".param", ".bin"):
            written = traced.with_suffix(f".ncnn{suffix}")
            if not written.is_file():
                raise WeightsError("pnnx could not convert the network")
            path.with_suffix(suffix).write_bytes(written.read_bytes())


@contextlib.contextmanager
def _quiet_output() -> Iterator[None]:
    """Discard what a library writes to the process's standard output and error."""
    kept = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        for number, copy in enumerate(kept, 1):
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)


class NcnnRunner:
    """Runs a graph in ncnn on the CPU, image by image.

    Args:
        path: A .param file with its .bin file beside it.
        options: Device and number of threads.

    Raises:
        ConfigError: If ncnn is not installed, or the device is not the CPU.
        WeightsError: If a file is missing or damaged.
    """

    def __init__(self, path: Path, options: RuntimeOptions) -> None:
        if options.graph_device != "cpu":
            raise ConfigError(f"device {options.graph_device} cannot be used by ncnn; use cpu")
        self._path, self._options = path.resolve(), options
        self._process = OwnProcess(NcnnBackend.title, options.threads)
        self._ncnn: Any = require_package("ncnn", "ncnn")
        self._net = self._ncnn.Net()
        if options.threads is not None:
            self._net.opt.num_threads = options.threads
        # Half precision is ncnn's default: it moves boxes by up to 16 pixels.
        for name in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
            setattr(self._net.opt, f"use_{name}", False)
        weights = path.with_suffix(".bin")
        try:
            check_regular(path)
            check_regular(weights)
        except OSError as error:
            raise WeightsError(
                f"weights {path} cannot be read: {error.strerror}; ncnn needs .param and .bin"
            ) from error
        if self._net.load_param(str(path)) or self._net.load_model(str(weights)):
            raise WeightsError(f"weights {path} cannot be read by ncnn")

    def __call__(self, images: UInt8[ndarray, "N H W 3"]) -> list[Shaped[ndarray, "N ..."]]:
        """Run the graph; return its outputs."""
        self._process.check()
        rows = [self._run(image) for image in images]
        return [np.stack(column) for column in zip(*rows, strict=True)]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path: the file is opened again where it is unpickled."""
        if not self._path.exists():  # the temporary file of `NcnnBackend.build`
            raise ConfigError(IN_MEMORY)
        return NcnnRunner, (self._path, self._options)

    def _run(self, image: UInt8[ndarray, "H W 3"]) -> list[ndarray]:
        extractor = self._net.create_extractor()
        pixels = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)
        # A Mat does not keep alive the array from which it is made.
        extractor.input(INPUT, self._ncnn.Mat(pixels).clone())
        outputs = [extractor.extract(name) for name in OUTPUTS]
        if any(status for status, _ in outputs):
            raise WeightsError("ncnn cannot run the graph: its parts do not fit each other")
        return [np.array(values) for _, values in outputs]
