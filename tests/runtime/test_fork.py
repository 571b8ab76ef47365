"""Detectors in other processes: forked ones, and those that they are pickled for."""

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
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

detector = Detector.load(sys.argv[1], score=0.0, threads=int(sys.argv[2]) or None)
image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
expected = detector(image)
child = os.fork()
if child == 0:
    signal.alarm(20)
    try:
        found = detector(image)
    except ConfigError as error:
        print(error, flush=True)
        os._exit(2)
    os._exit(0 if (found.boxes - expected.boxes).abs().max() < 0.01 else 1)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert len(detector(image)) == len(expected)
sys.exit(code if code >= 0 else 100 - code)
"""


def forked(path: Path, threads: int | None) -> subprocess.CompletedProcess[str]:
    """A detector that is called before and after a fork, in both processes."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", FORKED, str(path), str(threads or 0)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


@needs_fork
@pytest.mark.slow
def test_a_forked_process_runs_a_detector_of_pytorch(saved: SavedDetector, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, saved.model, saved.config, saved.names, {})
    done = forked(path, 2)
    assert done.returncode == 0, done.stderr


@needs_fork
@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("threads", "code"), [(1, 0), (2, 2)])
def test_a_forked_process_runs_a_graph_of_one_thread_alone(
    exported: Mapping[str, Path], backend: str, threads: int, code: int
) -> None:
    done = forked(exported[backend], threads)
    assert done.returncode == code, done.stderr
    assert ("loaded before a fork" in done.stdout) == (code == 2)


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
    session = get_graph_backend(backend).build(fuse(saved.model), RuntimeOptions(threads=1))
    with pytest.raises(ConfigError, match=r"cannot be pickled: write a file with ssdlite export"):
        pickle.dumps(session)
