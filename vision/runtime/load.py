"""The backends by name, and functions that make weights, graphs or networks ready to run.

``docs/architecture.md`` says how to add a backend.
"""

from pathlib import Path

import torch

from vision.choices import BACKEND_ALIASES, FORMS, import_choice
from vision.choices import BACKENDS as CLASSES
from vision.errors import ConfigError, WeightsError, did_you_mean
from vision.model import SSDLite, fuse
from vision.runtime.backend import Backend, GraphBackend, GraphSession, RuntimeOptions, Session
from vision.runtime.fork import limit_forked_threads
from vision.runtime.metadata import Metadata
from vision.weights import find_weights, load_weights

BACKENDS: dict[str, Backend] = {name: import_choice(place)() for name, place in CLASSES.items()}


def get_backend(name: str) -> Backend:
    """Return the backend with this name.

    Raises:
        ConfigError: If there is none.
    """
    name = BACKEND_ALIASES.get(name, name)
    if name not in BACKENDS:
        raise ConfigError(f"there is no backend {name}{did_you_mean(name, BACKENDS)}")
    return BACKENDS[name]


def get_graph_backend(name: str) -> GraphBackend:
    """Return the backend with this name, which must write files.

    Raises:
        ConfigError: If there is none, or it writes no files.
    """
    backend = get_backend(name)
    if not isinstance(backend, GraphBackend):
        known = ", ".join(graph_backends())
        raise ConfigError(f"backend {name} writes no files; expected one of {known}")
    return backend


def graph_backends() -> dict[str, GraphBackend]:
    """The backends that write files, by name."""
    return {
        name: backend for name, backend in BACKENDS.items() if isinstance(backend, GraphBackend)
    }


def graph_backend_of(path: Path) -> tuple[str, GraphBackend] | None:
    """Name and backend of an exported file, found by its suffix; None for any other file."""
    name = path.name.lower()
    return next((one for one in graph_backends().items() if name.endswith(one[1].suffix)), None)


def open_session(weights: str | Path, options: RuntimeOptions) -> tuple[Session, Metadata]:
    """Open a weights file or an exported graph; return its session and its metadata.

    Args:
        weights: What `vision.weights.find_weights` takes; a graph must have the form ``decoded``.
        options: Where and how to run it.

    Raises:
        WeightsError: If the file is missing, damaged, not written by ssdlite, or has another form.
        ConfigError: If this machine cannot run it with these options.
    """
    limit_forked_threads()
    path = find_weights(weights)
    written_by = graph_backend_of(path)
    if written_by is None:
        saved = load_weights(path)
        metadata = Metadata("decoded", "fp32", saved.config, saved.names, saved.training)
        return build_session(saved.model, options), metadata
    name, backend = written_by
    if options.backend is not None and get_backend(options.backend) is not backend:
        raise ConfigError(
            f"weights {path} run only in the backend {name}, not in {options.backend};"
            " leave the backend out"
        )
    metadata = backend.read_metadata(path)
    form, precision = metadata.form, metadata.precision
    if form != "decoded":
        raise WeightsError(
            f"weights {path} have the form {form} ({FORMS[form]}), which a detector cannot run;"
            " export the form decoded"
        )
    precisions = backend.file_precisions[precision]
    if options.precision not in {None, *precisions}:
        raise ConfigError(
            f"weights {path} are {precision} and do not run in {options.precision}, only in"
            f" {', '.join(precisions)}; leave the precision out, or export again"
        )
    runner = backend.open(path, options)
    runs_in = options.resolved(name, precisions[0])
    session = GraphSession(runner, metadata.config.model.image_size, runs_in)
    _try_out(session, len(metadata.names), path)
    return session, metadata


def read_names(weights: str | Path) -> list[str]:
    """Class names of a weights file or an exported graph, in label order; see `open_session`."""
    path = find_weights(weights)
    written_by = graph_backend_of(path)
    if written_by is None:
        return load_weights(path).names
    return written_by[1].read_metadata(path).names


def _try_out(session: GraphSession, num_classes: int, path: Path) -> None:
    """Run a graph once: a file may contain any graph, whatever its metadata state.

    Raises:
        WeightsError: If it does not run, or does not return boxes and scores.
    """
    try:
        decoded = session(torch.zeros(1, 3, *session.image_size, dtype=torch.uint8))
        boxes, scores = decoded.boxes, decoded.scores
        expected = [(1, scores.shape[1], 4), (1, scores.shape[1], num_classes)]
        fits = [tuple(boxes.shape), tuple(scores.shape)] == expected
        is_sound = fits and bool(boxes.isfinite().all() and scores.isfinite().all())
    except Exception as error:  # each runtime has exceptions of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise WeightsError(f"weights {path} do not run: {reason}; export them again") from error
    if not is_sound:
        raise WeightsError(
            f"weights {path} do not return {num_classes} finite scores for each finite box; export"
            " them again"
        )


def build_session(model: SSDLite, options: RuntimeOptions) -> Session:
    """Make a network ready to run; backends other than PyTorch export it in memory.

    Args:
        model: The network; it is copied.
        options: Where and how to run it.

    Raises:
        ConfigError: If this machine cannot run it with these options.
    """
    limit_forked_threads()
    name = options.backend or "torch"
    backend, precision = get_backend(name), options.precision or "fp32"
    if precision in backend.precisions:
        built = backend.build(fuse(model), options)
        if isinstance(built, Session):
            return built
        return GraphSession(built, model.image_size, options.resolved(name, precision))
    if isinstance(backend, GraphBackend) and precision in backend.file_precisions:
        raise ConfigError(
            f"precision {precision} of backend {name} needs an exported file; write one with"
            f" ssdlite export --to {name} --precision {precision}"
        )
    raise ConfigError(
        f"{backend.title} does not run weights in precision {precision}, only in"
        f" {', '.join(backend.precisions)}"
    )
