"""TorchScript: .torchscript files for C++ and older PyTorch."""

from pathlib import Path
from typing import Any, ClassVar

import torch

from vision.choices import Form, Precision
from vision.errors import WeightsError
from vision.extras import silenced
from vision.model import SSDLite
from vision.runtime.backend import GraphSession, Images, Precisions, RuntimeOptions
from vision.runtime.graphs import GRAPHS, Graph, without_shape_checks
from vision.runtime.metadata import Metadata
from vision.runtime.torch_backend import TorchRunner

_METADATA = "ssdlite.json"


class TorchScriptBackend:
    """See `vision.runtime.backend.GraphBackend`."""

    title: ClassVar[str] = "TorchScript"
    suffix: ClassVar[str] = ".torchscript"
    forms: ClassVar[tuple[Form, ...]] = ("raw", "decoded")
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32",)
    file_precisions: ClassVar[Precisions] = {"fp32": ("fp32",)}
    benchmarked: ClassVar[Precisions] = {}  # PyTorch runs them

    def build(self, network: SSDLite, options: RuntimeOptions) -> GraphSession:
        """A session of a traced network that is kept in memory."""
        traced = _trace(GRAPHS["decoded"](network, None))
        return GraphSession(
            TorchRunner(traced, options),
            network.image_size,
            options.resolved("torchscript", "fp32"),
        )

    def write(self, path: Path, network: SSDLite, metadata: Metadata, calibration: Images) -> None:
        """Write one .torchscript file, for batches of any size."""
        del calibration
        graph = GRAPHS[metadata.form](network, None)
        text = metadata.to_json(graph.input_name, graph.output_names)
        torch.jit.save(_trace(graph), str(path), _extra_files={_METADATA: text})

    def read_metadata(self, path: Path) -> Metadata:
        """The metadata of a .torchscript file."""
        return Metadata.from_json(_load(path)[1], f"weights {path}")

    def open(self, path: Path, options: RuntimeOptions) -> TorchRunner:
        """Make a .torchscript file ready to run."""
        return TorchRunner(_load(path)[0], options)


def _trace(graph: Graph) -> Any:  # noqa: ANN401
    with silenced(), without_shape_checks(), torch.no_grad():
        return torch.jit.trace(  # type: ignore[no-untyped-call]
            graph.traceable(), graph.example()
        )


def _load(path: Path) -> tuple[Any, str]:
    """The traced network and the metadata of a file."""
    if not path.is_file():
        raise WeightsError(f"weights {path} do not exist")
    extra: dict[str, Any] = {_METADATA: ""}
    try:
        with silenced():
            loaded = torch.jit.load(  # type: ignore[no-untyped-call]
                str(path), map_location="cpu", _extra_files=extra
            )
    except (RuntimeError, ValueError) as error:
        raise WeightsError(
            f"weights {path} cannot be read by TorchScript: {error!s:.200}"
        ) from error
    text = extra[_METADATA]
    return loaded, text.decode() if isinstance(text, bytes) else text
