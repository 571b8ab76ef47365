"""The backends by name.

To add one, two edits suffice:

1. Write ``vision/runtime/NAME_backend.py`` with a class that has the attributes and methods of
   `vision.runtime.backend.Backend`, and those of `GraphBackend` if it writes files. Import the
   runtime's packages by `vision.runtime.extras.require_package` inside the methods.
   `vision.runtime.graphs.build_graph` gives the module to trace for each form,
   `vision.runtime.onnx_graph.to_onnx` the traced ONNX graph with its metadata.
2. Add its line to ``BACKENDS`` of ``vision/choices.py``.

`Detector.load`, opening a file by its suffix, ``--backend`` of the commands, ``ssdlite export
--to NAME`` with its comparison, and ``ssdlite benchmark`` follow from these two. Packages that it
needs and no other extra has go into an extra of their own in pyproject.toml.
"""

from importlib import import_module
from pathlib import Path

from vision.choices import BACKENDS as CLASSES
from vision.errors import ConfigError, did_you_mean
from vision.runtime.backend import Backend, GraphBackend

__all__ = ["BACKENDS", "get_backend", "get_graph_backend", "graph_backend_of", "graph_backends"]

BACKENDS: dict[str, Backend] = {
    name: getattr(import_module(module), class_name)()
    for name, (module, class_name) in ((name, place.split(":")) for name, place in CLASSES.items())
}


def get_backend(name: str) -> Backend:
    """The backend of this name.

    Raises:
        ConfigError: If there is none.
    """
    if name not in BACKENDS:
        raise ConfigError(f"there is no backend {name}{did_you_mean(name, BACKENDS)}")
    return BACKENDS[name]


def get_graph_backend(name: str) -> GraphBackend:
    """The backend of this name, if it writes files.

    Raises:
        ConfigError: If there is none.
    """
    backend = get_backend(name)
    if not isinstance(backend, GraphBackend):
        known = ", ".join(graph_backends())
        raise ConfigError(f"backend {name} writes no files; expected one of {known}")
    return backend


def graph_backends() -> dict[str, GraphBackend]:
    """Those that write files."""
    return {name: one for name, one in BACKENDS.items() if isinstance(one, GraphBackend)}


def graph_backend_of(path: Path) -> tuple[str, GraphBackend] | None:
    """Name and backend of an exported file by its suffix; None for any other file."""
    suffix = path.suffix.lower()
    return next((item for item in graph_backends().items() if item[1].suffix == suffix), None)
