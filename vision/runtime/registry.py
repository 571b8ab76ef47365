"""The backends by name; ``docs/architecture.md`` says how to add one."""

from pathlib import Path

from vision.choices import BACKENDS as CLASSES
from vision.choices import import_choice
from vision.errors import ConfigError, did_you_mean
from vision.runtime.backend import Backend, GraphBackend

BACKENDS: dict[str, Backend] = {name: import_choice(place)() for name, place in CLASSES.items()}


def get_backend(name: str) -> Backend:
    """The backend of this name.

    Raises:
        ConfigError: If there is none.
    """
    if name not in BACKENDS:
        raise ConfigError(f"there is no backend {name}{did_you_mean(name, BACKENDS)}")
    return BACKENDS[name]


def get_graph_backend(name: str) -> GraphBackend:
    """The backend of this name, which must write files.

    Raises:
        ConfigError: If there is none, or it writes no files.
    """
    backend = get_backend(name)
    if not isinstance(backend, GraphBackend):
        known = ", ".join(graph_backends())
        raise ConfigError(f"backend {name} writes no files; expected one of {known}")
    return backend


def graph_backends() -> dict[str, GraphBackend]:
    """The backends that write files."""
    return {
        name: backend for name, backend in BACKENDS.items() if isinstance(backend, GraphBackend)
    }


def graph_backend_of(path: Path) -> tuple[str, GraphBackend] | None:
    """Name and backend of an exported file by its suffix; None for any other file."""
    suffix = path.suffix.lower()
    return next((item for item in graph_backends().items() if item[1].suffix == suffix), None)
