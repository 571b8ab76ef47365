"""What a backend is, and the network that it makes ready to run."""

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
"""Batches of one image, as a graph takes them."""
Precisions: TypeAlias = Mapping[Precision, tuple[Precision, ...]]
"""For each precision of a file, the precisions that it can run in, the default first."""
Runner: TypeAlias = Callable[[Shaped[ndarray, "N ..."]], list[ndarray]]
"""From the input of a graph to its outputs."""


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """What to run a detector on.

    Attributes:
        backend: A name in `vision.runtime.BACKENDS`; None for the one that the file was written
            for, and PyTorch for a weights file.
        device: ``cpu``, ``cuda``, ..., as the backend names it; None for CUDA where PyTorch has
            it, and for the CPU elsewhere.
        precision: Of the layers; None for that of an exported file, and fp32 for a weights file.
        threads: Of one call; None for the backend's own default.
        streams: Number of calls that run at once, from several threads.
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
        """What an exported graph runs in: a backend, its device, and a precision by default."""
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
        options: Backend, device and precision that it runs in.
    """

    image_size: tuple[int, int]
    options: RuntimeOptions

    def __call__(self, images: UInt8[Tensor, "N 3 H W"]) -> Decoded:
        """Boxes and scores of each prior.

        Args:
            images: RGB, of the network's size; in channels-last memory nothing is copied.
        """
        ...


@dataclass(slots=True)
class GraphSession:
    """A `Session` of an exported graph of the form ``decoded``, with outputs on the CPU."""

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
        precisions: Precisions in which it runs weights without a file.
        benchmarked: What ``ssdlite benchmark`` measures: for each precision of the files to export
            (of the weights, if it writes no files), the precisions to run in.
    """

    title: ClassVar[str]
    precisions: ClassVar[tuple[Precision, ...]]
    benchmarked: ClassVar[Precisions]

    def build(self, network: SSDLite, options: RuntimeOptions) -> Session | Runner:
        """Make a network ready to run: a session, or the runner of its graph, form ``decoded``.

        Args:
            network: Of `vision.model.fuse`; it may be changed in place.
            options: Their precision is None or one of ``precisions``.

        Raises:
            ConfigError: If a package is missing, or this machine cannot meet the options.
        """
        ...


@runtime_checkable
class GraphBackend(Backend, Protocol):
    """A backend that also writes files and runs them.

    Attributes:
        suffix: Of its files, with the dot.
        forms: Forms of the files that it writes.
        file_precisions: Precisions of the files that it writes.
    """

    suffix: ClassVar[str]
    forms: ClassVar[tuple[Form, ...]]
    file_precisions: ClassVar[Precisions]

    def write(self, path: Path, network: SSDLite, metadata: Metadata, calibration: Images) -> None:
        """Write a file that holds a network and its metadata.

        Args:
            path: The file; others that belong to it lie beside it.
            network: Of `vision.model.fuse`; for fp16, with weights that float16 can represent.
            metadata: They name the form and the precision.
            calibration: Images to quantise with for the precisions in `vision.choices.CALIBRATED`;
                else empty.

        Raises:
            ConfigError: If a package is missing, or the form is not available.
            WeightsError: If the file cannot be written.
        """
        ...

    def read_metadata(self, path: Path) -> Metadata:
        """The metadata of a file, which is not made ready to run.

        Raises:
            ConfigError: If a package is missing.
            WeightsError: If the file is missing, damaged or was not written by ``write``.
        """
        ...

    def open(self, path: Path, options: RuntimeOptions) -> Runner:
        """Make a file ready to run.

        Args:
            path: A file of any form.
            options: Their precision is None or one that the file can run in.

        Raises:
            ConfigError: If a package is missing, or this machine cannot meet the options.
            WeightsError: If the file is missing or damaged.
        """
        ...
