"""Detectors in other processes: forked ones, and those that they are pickled for."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.exported import BACKENDS
from vision.detector import Detector
from vision.errors import ConfigError
from vision.model import fuse
from vision.runtime import RuntimeOptions, get_graph_backend
from vision.weights import SavedDetector, save_weights

pytest.importorskip("onnx")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

FORKED = """
import os, signal, sys
import numpy as np
from vision.detector import Detector
from vision.errors import ConfigError

def call_before_and_after_a_fork(path, threads):
    detector = Detector.load(path, score=0.0, threads=threads or None)
    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    expected = detector(image)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            found = detector(image)
        except ConfigError as error:
            assert "loaded before a fork" in str(error)
            os._exit(2)
        os._exit(0 if (found.boxes - expected.boxes).abs().max() < 0.01 else 1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert len(detector(image)) == len(expected)
    return code if code >= 0 else 100 - code

for case in sys.argv[1:]:
    path, threads = case.rsplit(":", 1)
    child = os.fork()  # each case has a process in which nothing has run
    if child == 0:
        code = call_before_and_after_a_fork(path, int(threads))
        os._exit(code)
    print(case, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def codes_after_a_fork(cases: Iterable[str]) -> dict[str, int]:
    """What forked processes that call a detector give: 0 for results, 2 for an error.

    Args:
        cases: Each ``FILE:THREADS``, with 0 for the runtime's own number.
    """
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", FORKED, *cases],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    lines = [line.rsplit(" ", 1) for line in done.stdout.splitlines()]
    return {case: int(code) for case, code in lines}


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
