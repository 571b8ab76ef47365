"""From a file or a network to a session that runs it."""

from pathlib import Path

from vision.errors import ConfigError, WeightsError
from vision.model import SSDLite, build_decoding
from vision.runtime.backend import GraphBackend, GraphSession, RuntimeOptions, Session
from vision.runtime.graphs import FORMS
from vision.runtime.metadata import Metadata
from vision.runtime.registry import get_backend, graph_backend_of
from vision.weights import find_weights, load_weights

__all__ = ["build_session", "open_session"]


def open_session(weights: str | Path, options: RuntimeOptions) -> tuple[Session, Metadata]:
    """A session, and what is known of its detector, from a weights file or an exported graph.

    Args:
        weights: What `vision.weights.find_weights` takes; a graph has to be of the form
            ``decoded``.
        options: What to run it on.

    Raises:
        WeightsError: If the file is missing, damaged, not written by ssdlite, or of another form.
        ConfigError: If it cannot be run so on this machine.
    """
    path = find_weights(weights)
    written_by = graph_backend_of(path)
    if written_by is None:
        saved = load_weights(path)
        metadata = Metadata("decoded", "fp32", saved.config, saved.names, saved.training)
        return build_session(saved.model, metadata, options), metadata
    name, backend = written_by
    if options.backend is not None and get_backend(options.backend) is not backend:
        raise ConfigError(f"{path} runs in the backend {name}, not in {options.backend}")
    runner, metadata = backend.open(path, options)
    if metadata.form != "decoded":
        raise WeightsError(
            f"weights {path} are of the form {metadata.form} ({FORMS[metadata.form]}); this runs"
            " the form decoded"
        )
    if options.precision not in {None, *backend.file_precisions[metadata.precision]}:
        raise ConfigError(
            f"weights {path} are {metadata.precision} and do not run in {options.precision}; leave"
            " the precision out, or export anew"
        )
    return GraphSession(runner, metadata.config.model.image_size), metadata


def build_session(model: SSDLite, metadata: Metadata, options: RuntimeOptions) -> Session:
    """A session of a network, exported in memory where the backend is not PyTorch.

    Args:
        model: The network; it stays as it is.
        metadata: Of its detector, of the form ``decoded``.
        options: What to run it on.

    Raises:
        ConfigError: If it cannot be run so on this machine.
    """
    name = options.backend or "torch"
    backend, precision = get_backend(name), options.precision or "fp32"
    if precision in backend.precisions:
        return backend.build(build_decoding(model), metadata, options)
    if isinstance(backend, GraphBackend) and precision in backend.file_precisions:
        raise ConfigError(
            f"precision {precision} of backend {name} takes a file; write one with"
            f" ssdlite export --to {name} --precision {precision}"
        )
    raise ConfigError(
        f"precision {precision} is not for {backend.title}; it runs weights in"
        f" {', '.join(backend.precisions)}"
    )
