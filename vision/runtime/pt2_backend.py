"""PyTorch programs of `torch.export`: .pt2 files, which run without this package."""

# N batch

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


class Pt2Backend:
    """See `vision.runtime.backend.GraphBackend`."""

    title: ClassVar[str] = "torch.export"
    suffix: ClassVar[str] = ".pt2"
    forms: ClassVar[tuple[Form, ...]] = ("raw", "decoded")
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32",)
    file_precisions: ClassVar[Precisions] = {"fp32": ("fp32",)}
    benchmarked: ClassVar[Precisions] = {}  # PyTorch runs them

    def build(self, network: SSDLite, options: RuntimeOptions) -> GraphSession:
        """A session of a program that is kept in memory."""
        module = _export(GRAPHS["decoded"](network, None)).module()
        return GraphSession(
            TorchRunner(module, options), network.image_size, options.resolved("pt2", "fp32")
        )

    def write(self, path: Path, network: SSDLite, metadata: Metadata, calibration: Images) -> None:
        """Write one .pt2 file, for batches of any size."""
        del calibration
        graph = GRAPHS[metadata.form](network, None)
        text = metadata.to_json(graph.input_name, graph.output_names)
        with silenced():
            torch.export.save(_export(graph), path, extra_files={_METADATA: text})

    def read_metadata(self, path: Path) -> Metadata:
        """The metadata of a .pt2 file."""
        return Metadata.from_json(_load(path)[1], f"weights {path}")

    def open(self, path: Path, options: RuntimeOptions) -> TorchRunner:
        """Make a .pt2 file ready to run."""
        return TorchRunner(_load(path)[0].module(), options)


def _export(graph: Graph) -> Any:  # noqa: ANN401
    shapes = ({0: torch.export.Dim("batch")},)
    module = graph.traceable()
    with silenced(), without_shape_checks(), torch.no_grad():
        return torch.export.export(module, (graph.example(),), dynamic_shapes=shapes, strict=False)


def _load(path: Path) -> tuple[Any, str]:
    """The program and the metadata of a file."""
    if not path.is_file():
        raise WeightsError(f"weights {path} do not exist")
    extra = {_METADATA: ""}
    try:
        with silenced():
            program = torch.export.load(path, extra_files=extra)
    except Exception as error:
        # What a damaged archive raises has no common class but Exception.
        raise WeightsError(
            f"weights {path} cannot be read by torch.export: {error!s:.200}"
        ) from error
    return program, extra[_METADATA]
