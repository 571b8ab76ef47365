"""Detectors in other processes: forked ones, and those that they are pickled for."""

import os
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.detectors import call_before_and_after_a_fork
from tests.exported import BACKENDS
from tests.runs import exit_code
from vision.detector import Detector
from vision.errors import ConfigError
from vision.model import fuse
from vision.runtime import RuntimeOptions, get_graph_backend
from vision.weights import SavedDetector, save_weights

pytest.importorskip("onnx")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def codes_after_a_fork(cases: Iterable[str]) -> dict[str, int | None]:
    """What forked processes that call a detector give: 0 for results, 2 for an error.

    Args:
        cases: Each ``FILE:THREADS``, with 0 for the runtime's own number.
    """
    return {case: exit_code(call_before_and_after_a_fork, *case.rsplit(":", 1)) for case in cases}


@needs_fork
@pytest.mark.slow
def test_a_forked_process_runs_pytorch_and_graphs_of_one_thread(
    saved: SavedDetector, exported: Mapping[str, Path], tmp_path: Path
) -> None:
    """Detectors are called before and after a fork, in both processes."""
    weights = tmp_path / "w.safetensors"
    save_weights(weights, saved.model, saved.config, saved.names, {})
    codes = {f"{weights}:2": 0}
    codes |= {f"{exported[backend]}:{n}": 2 * (n > 1) for backend in BACKENDS for n in (1, 2)}
    assert codes_after_a_fork(codes) == codes


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_pickled_detector_opens_its_file_again(
    exported: Mapping[str, Path], backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = exported[backend]
    monkeypatch.chdir(path.parent)
    detector = Detector.load(path.name, score=0.0, threads=1)
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(detector)
    assert len(data) < 100_000
    again: Any = pickle.loads(data)  # noqa: S301
    image = np.random.default_rng(0).integers(0, 256, (100, 120, 3), np.uint8)
    np.testing.assert_array_equal(again(image).boxes, detector(image).boxes)
    assert again.names == detector.names


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_graph_in_memory_cannot_be_pickled(saved: SavedDetector, backend: str) -> None:
    runner = get_graph_backend(backend).build(fuse(saved.model), RuntimeOptions(threads=1))
    with pytest.raises(ConfigError, match=r"cannot be pickled: write a file with ssdlite export"):
        pickle.dumps(runner)
