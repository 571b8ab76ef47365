"""Backends: what follows from a line in the registry, and names that are not in it."""

from pathlib import Path

import pytest

from tests.exported import Images
from vision import choices
from vision.benchmark import list_candidates
from vision.cli.main import main
from vision.detector import Detector
from vision.errors import ConfigError
from vision.export import ExportSpec, export_detector
from vision.runtime import BACKENDS, Backend, GraphBackend, get_backend, graph_backends
from vision.runtime.onnx_backend import OnnxBackend
from vision.weights import SavedDetector

pytest.importorskip("onnx")


class OtherBackend(OnnxBackend):
    """A backend of its own name and suffix, with files of one precision."""

    title = "Other"
    suffix = ".other"
    file_precisions = {"fp32": ("fp32",)}  # noqa: RUF012 - as in its base
    benchmarked = {"fp32": ("fp32",)}  # noqa: RUF012 - as in its base


def test_all_are_backends_and_those_with_a_suffix_write_files() -> None:
    assert all(isinstance(one, Backend) for one in BACKENDS.values())
    suffixes = [one.suffix for one in graph_backends().values()]
    assert suffixes[:2] == [".onnx", ".xml"]
    assert len(set(suffixes)) == len(suffixes)
    assert not any(a != b and a.endswith(b) for a in suffixes for b in suffixes)
    assert not isinstance(BACKENDS["torch"], GraphBackend)


@pytest.mark.slow
def test_one_line_is_enough_for_every_command(
    saved: SavedDetector,
    learnt: Path,
    images: Images,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(BACKENDS, "other", OtherBackend())
    monkeypatch.setitem(
        choices.GRAPH_BACKENDS, "other", "vision.runtime.other_backend:OtherBackend"
    )
    weights = learnt / "best.safetensors"
    assert main(["export", str(weights), "--to=other", "--out", str(tmp_path)]) == 0
    path = tmp_path / "best_decoded_fp32.other"
    assert f"{path}: decoded" in capsys.readouterr().out
    expected = Detector.load(weights, 0.2)(images)
    for detector in (Detector.load(path, 0.2), Detector.load(weights, 0.2, backend="other")):
        assert [len(one) for one in detector(images)] == [len(one) for one in expected]
    for backend in graph_backends().values():
        if not isinstance(backend, OtherBackend):
            monkeypatch.setattr(type(backend), "benchmarked", {})
    candidates, left_out = list_candidates(weights, saved, images, [], tmp_path, "cpu")
    assert not left_out
    assert "other fp32" in [one.name for one in candidates]


def test_a_name_that_is_none(saved: SavedDetector, images: Images, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no backend opnvino; did you mean openvino"):
        get_backend("opnvino")
    with pytest.raises(ConfigError, match="no backend tvm; there are torch, onnx, openvino"):
        Detector.load("voc", backend="tvm")
    with pytest.raises(ConfigError, match="torch writes no files; expected one of onnx, openvino"):
        export_detector(saved, ExportSpec("torch"), tmp_path / "w", images)
