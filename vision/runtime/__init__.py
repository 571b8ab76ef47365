"""Running a detector's network: in PyTorch, or as an exported graph in another runtime."""

from vision.choices import FORMS, Form, Precision
from vision.runtime.backend import Backend, GraphBackend, Runner, RuntimeOptions, Session
from vision.runtime.load import (
    BACKENDS,
    build_session,
    get_backend,
    get_graph_backend,
    graph_backends,
    open_session,
    read_names,
)
from vision.runtime.metadata import Metadata
from vision.runtime.scores import USUAL_SCORE, Score, Scores, only_classes, score_thresholds

__all__ = [
    "BACKENDS",
    "FORMS",
    "USUAL_SCORE",
    "Backend",
    "Form",
    "GraphBackend",
    "Metadata",
    "Precision",
    "Runner",
    "RuntimeOptions",
    "Score",
    "Scores",
    "Session",
    "build_session",
    "get_backend",
    "get_graph_backend",
    "graph_backends",
    "only_classes",
    "open_session",
    "read_names",
    "score_thresholds",
]
