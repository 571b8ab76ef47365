"""The interfaces of backends, and of the sessions in which they run a network."""

# N images, H W height and width of the network's input

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol, TypeAlias, get_args, runtime_checkable

import torch
from jaxtyping import Shaped, UInt8
from numpy import ndarray
from torch import Tensor

from vision.choices import MAX_THREADS, Form, Precision
from vision.errors import ConfigError
from vision.model import SSDLite
from vision.runtime.metadata import Metadata
from vision.structures import Decoded

Images: TypeAlias = Sequence[Shaped[ndarray, "1 ..."]]
"""Batches of one image each, in the form that a graph takes."""
Precisions: TypeAlias = Mapping[Precision, tuple[Precision, ...]]
"""For each precision of a file, the precisions that it can run in, the default first."""
Runner: TypeAlias = Callable[[Shaped[ndarray, "N ..."]], list[ndarray]]
"""Runs a graph: takes its input and returns its outputs."""


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """Where and how to run a detector.

    Attributes:
        backend: A name in `vision.runtime.BACKENDS`; None for the backend that the file was written
            for, and for PyTorch with a weights file.
        device: ``cpu``, ``cuda``, ..., as the backend names it; None: in PyTorch, CUDA if it is
            available; else the CPU.
        precision: Precision of the layers; None for the default of an exported file, and for
            ``fp32`` with a weights file.
        threads: Number of threads of a call; None for the backend's own default.
        streams: Number of calls, from several threads, that run in parallel in OpenVINO.
    """

    backend: str | None = None
    device: str | None = None
    precision: Precision | None = None
    threads: int | None = None
    streams: int = 1

    @property
    def graph_device(self) -> str:
        """The device that an exported graph runs on."""
        return "cpu" if self.device in {None, "auto"} else str(self.device)

    def resolved(self, backend: str, precision: Precision) -> "RuntimeOptions":
        """The options that an exported graph runs with; ``precision`` is used if none is set."""
        precision = self.precision or precision
        return replace(self, backend=backend, device=self.graph_device, precision=precision)

    def __post_init__(self) -> None:
        if self.precision is not None and self.precision not in get_args(Precision):
            known = ", ".join(get_args(Precision))
            raise ConfigError(f"precision: expected one of {known}, got {self.precision}")
        for name in ("threads", "streams"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= MAX_THREADS:
                raise ConfigError(f"{name}: expected a number from 1 to {MAX_THREADS}, got {value}")


@runtime_checkable
class Session(Protocol):
    """A network that is ready to run; several threads may call it at once.

    Attributes:
        image_size: (height, width) of the images that it takes.
        options: The backend, device and precision in which it runs.
    """

    image_size: tuple[int, int]
    options: RuntimeOptions

    def __call__(self, images: UInt8[Tensor, "N 3 H W"]) -> Decoded:
        """Return the boxes and scores of each prior.

        Args:
            images: RGB, of the network's size; channels-last tensors are not copied.
        """
        ...


@dataclass(slots=True)
class GraphSession:
    """A `Session` that runs an exported graph of the form ``decoded``; outputs are on the CPU."""

    runner: Runner
    image_size: tuple[int, int]
    options: RuntimeOptions

    def __call__(self, images: UInt8[Tensor, "N 3 H W"]) -> Decoded:
        """See `Session.__call__`."""
        pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
        return Decoded(*map(torch.from_numpy, self.runner(pixels)))


@runtime_checkable
class Backend(Protocol):
    """A runtime that makes a network ready to run.

    Attributes:
        title: Its name in messages.
        precisions: Precisions in which it runs weights that are not exported to a file.
        benchmarked: What ``ssdlite benchmark`` measures: for each precision of the files to export
            (of the weights, if it writes no files), the precisions to run them in.
    """

    title: ClassVar[str]
    precisions: ClassVar[tuple[Precision, ...]]
    benchmarked: ClassVar[Precisions]

    def build(self, network: SSDLite, options: RuntimeOptions) -> Session | Runner:
        """Return a session of a network, or a runner of its graph in the form ``decoded``.

        Args:
            network: A network from `vision.model.fuse`; it may be changed in place.
            options: Options whose precision is None or one of ``precisions``.

        Raises:
            ConfigError: If a package is missing, or this machine cannot meet the options.
        """
        ...


@runtime_checkable
class GraphBackend(Backend, Protocol):
    """A backend that also writes files and runs them.

    Attributes:
        suffix: Suffix of its files, with the dot.
        forms: Forms of the files that it writes.
        file_precisions: Precisions of these files, and those that each can run in.
    """

    suffix: ClassVar[str]
    forms: ClassVar[tuple[Form, ...]]
    file_precisions: ClassVar[Precisions]

    def write(self, path: Path, network: SSDLite, metadata: Metadata, calibration: Images) -> None:
        """Write a file that holds a network and its metadata.

        Args:
            path: The file; other files that belong to it are written beside it.
            network: From `vision.model.fuse`; for fp16, with weights that float16 can represent.
            metadata: The metadata, which name the form and the precision.
            calibration: Images to calibrate the quantisation on, for the precisions in
                `vision.choices.CALIBRATED`; else empty.

        Raises:
            ConfigError: If a package is missing, or the form is not available.
            WeightsError: If the file cannot be written.
        """
        ...

    def read_metadata(self, path: Path) -> Metadata:
        """Read the metadata of a file without making it ready to run.

        Raises:
            ConfigError: If a package is missing.
            WeightsError: If the file is missing, damaged or not written by ``write``.
        """
        ...

    def open(self, path: Path, options: RuntimeOptions) -> Runner:
        """Make a file ready to run.

        Args:
            path: A file of any form.
            options: Options whose precision is None, or one in which the file can run.

        Raises:
            ConfigError: If a package is missing, or this machine cannot meet the options.
            WeightsError: If the file is missing or damaged.
        """
        ...
