"""The benchmark: fair turns, right arithmetic, and a table from beginning to end."""

import importlib
import json
import os
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.runs import forking, result_of
from vision.benchmark import (
    EAGER,
    Candidate,
    Times,
    draw_chart,
    list_candidates,
    measure,
    measure_times,
    row_of,
    support_matrix,
    table,
)
from vision.benchmark.candidates import TORCHVISION, LoadedCandidate, load_candidate
from vision.benchmark.measure import TURN, WARM_UPS
from vision.cli.commands import parse
from vision.cli.main import main
from vision.errors import DataError
from vision.export import Agreement
from vision.export.write import Export
from vision.images import read_image
from vision.runtime import RuntimeOptions, graph_backends
from vision.runtime.onnx_backend import OnnxBackend
from vision.weights import SHIPPED, load_weights


def test_candidates_take_turns_and_warm_ups_do_not_count() -> None:
    calls: list[str] = []

    def candidate(name: str, seconds: float) -> LoadedCandidate:
        def detect(_: object) -> None:
            time.sleep(3 * seconds)

        def forward(_: object) -> None:
            calls.append(name)
            time.sleep(seconds)

        return LoadedCandidate(forward, detect, None)

    image = np.zeros((8, 8, 3), np.uint8)
    candidates = {"a": candidate("a", 0.001), "b": candidate("b", 0.004)}
    times = measure_times(candidates, [image], (4, 4), 2)
    turn = TURN + WARM_UPS
    assert calls == (["a"] * turn + ["b"] * turn) * 2
    assert [len(one.forward) for one in times.values()] == [2 * TURN] * 2
    assert times["b"].relative_to(times["a"]) > 1.5
    assert times["a"].overhead() > 1.5


@pytest.mark.parametrize("name", [EAGER, "torch fp32", TORCHVISION])
def test_the_forward_is_timed_to_its_end(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU works on after a call: the time ends once the outputs are on the host."""
    file = None if name == TORCHVISION else SHIPPED["voc"]
    options = RuntimeOptions("torch", "cpu:0")
    loaded = load_candidate(Candidate(name, file, options, is_plain=name == EAGER), threads=1)
    size = (320, 320)
    if loaded.detector is not None:
        size = loaded.detector.image_size
        assert loaded.detector.session.options.device == "cpu:0"
    on_host: list[torch.Tensor] = []
    to_host = torch.Tensor.cpu

    def cpu(tensor: torch.Tensor) -> torch.Tensor:
        on_host.append(to_host(tensor))
        return on_host[-1]

    monkeypatch.setattr("torch.Tensor.cpu", cpu)
    loaded.forward(np.zeros((*size, 3), np.uint8))
    assert on_host


def test_a_row_has_medians_tails_and_ratios() -> None:
    times = Times([0.01] * 18 + [0.02] * 2, [0.015] * 20)
    row = row_of("x", times, Times([0.02] * 20, [0.03] * 20), 99.6, 250_000_000, (0.5, None))
    assert (row.forward_ms, row.detect_ms, row.overhead) == pytest.approx((10, 15, 1.5))
    assert row.forward_p95_ms == pytest.approx(20)
    assert row.relative_to_eager == pytest.approx(0.5)
    head, _, line = table([row]).splitlines()
    assert [cell.strip() for cell in head.split("|")][2:4] == ["forward ms", "p95"]
    cells = [cell.strip() for cell in line.split("|")][1:-1]
    assert cells == [
        "x",
        "10.0",
        "20.0",
        "15.0",
        "15.0",
        "1.50",
        "0.50",
        "100",
        "250",
        "0.5000",
        "-",
    ]


def test_the_matrix_has_each_precision_of_each_backend_and_what_was_measured() -> None:
    times = Times([0.01] * 20, [0.0155] * 20)
    slow = Times([0.02] * 20, [0.031] * 20)
    rows = [
        row_of("torch fp32", slow, slow, 49.6, 250_000_000, (0.5, None)),
        row_of("onnx fp32", times, times, 99.6, 250_000_000, (0.5, 0.25)),
    ]
    agreement = Agreement(8, 20, 3e-6, 2e-4, 0)
    options = RuntimeOptions("onnx", "cpu", "fp32")
    plain = Candidate("torch fp32", Path("w"), RuntimeOptions("torch", "cpu", "fp32"))
    exported = Candidate("onnx fp32", Path("w"), options, num_bytes=1_500_000, agreement=agreement)
    _, _, *lines = support_matrix([plain, exported], rows).splitlines()
    reference, *cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert reference == ["PyTorch", "fp32", "", "", "31.0", "0.5000", "-", "PyTorch itself"]
    expected = [
        [one.title, precision]
        for one in graph_backends().values()
        for precision in one.file_precisions
    ]
    assert [line[:2] for line in cells] == expected
    proof = "8 images, 20 detections: scores 3e-06, boxes 2e-04 px, 0 unmatched"
    assert cells[0][2:] == ["raw, decoded, nms, jetson", "1.5", "15.5", "0.5000", "0.2500", proof]
    assert cells[1][3:] == ["-", "-", "-", "-", "not run"]
    assert [line[2] for line in cells if line[1] == "int8full"] == ["raw"]


def test_the_size_of_a_graph_is_that_of_its_own_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sizes: list[int] = []

    def export(_: object, __: object, path: Path, *_others: object) -> Export:
        sizes.append(1000 * (len(sizes) + 1))
        path.write_bytes(bytes(sizes[-1]))
        path.with_suffix(".beside").write_bytes(bytes(7))
        return Export(path, Agreement(8, 20, 3e-6, 2e-4, 0))

    monkeypatch.setattr("vision.benchmark.candidates.export_detector", export)
    saved = load_weights(SHIPPED["voc"])
    candidates, _ = list_candidates(Path("w.safetensors"), saved, [], [], tmp_path, None)
    exported = {one.file: one.num_bytes for one in candidates if one.agreement is not None}
    assert list(exported.values()) == [size + 7 for size in sizes]


@pytest.mark.parametrize("precision", [0.0, None])
def test_the_picture_shows_what_was_measured(tmp_path: Path, precision: float | None) -> None:
    """A mark of precision and latency, also at zero, or a bar of latency alone."""
    times = Times([0.01] * 20, [0.015] * 20)
    draw_chart(
        [row_of("x", times, times, 99.6, 250_000_000, (precision, None))], tmp_path / "x.png"
    )
    image = read_image(tmp_path / "x.png").astype(int)
    assert (np.ptp(image, axis=2) > 50).sum() > 50


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        draw_chart([], tmp_path / "file" / "x.png")


def peaks() -> tuple[int, int | None]:
    """The growth of the peak memory by 400 MB, and the peak where there is no way to know it."""
    before = measure.peak_of_this_process()
    assert before is not None
    held = np.ones(400_000_000, np.uint8)
    peak = measure.peak_of_this_process()
    assert peak is not None
    assert held.all()
    sys.modules["resource"] = None  # type: ignore[assignment]
    importlib.reload(measure)
    measure.STATUS = Path("nowhere")
    return peak - before, measure.peak_of_this_process()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no resource")
def test_memory_grows_with_what_is_held_and_is_not_known_without_the_module_resource() -> None:
    """In a process of its own: a peak never falls, and others' tests may have had a higher one.

    Without the module, as on Windows, the benchmark starts all the same.
    """
    grown, unknown = result_of(peaks)
    assert grown > 300_000_000
    assert unknown is None


def test_a_table_has_a_gap_where_the_memory_is_not_known() -> None:
    times = Times([0.01] * 20, [0.015] * 20)
    row = row_of("x", times, times, 99.6, None, (0.5, None))
    assert table([row]).split("|")[-4].strip() == "-"


@pytest.mark.slow
def test_the_command_from_weights_to_table(
    learnt: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = forking()
    for backend in graph_backends().values():
        precisions = {"fp32": ("fp32",)} if isinstance(backend, OnnxBackend) else {}
        monkeypatch.setattr(type(backend), "benchmarked", precisions)
    # Tests run side by side: two threads for each would wait for each other.
    monkeypatch.setattr("vision.benchmark.candidates.num_cores", lambda: 1)
    monkeypatch.setattr("vision.benchmark.measure.multiprocessing.get_context", lambda _: context)
    words = [str(learnt / "best.safetensors"), "--out", str(tmp_path), "--rounds=1", "--markdown"]
    assert main(["benchmark", *words, "--device=cpu", "--json"]) == 0
    captured = capsys.readouterr()
    assert "128 x 128 pixels, 4 classes" in captured.err
    lines = captured.err.splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
    (exported,) = (row for row in rows if row[:2] == ["ONNX Runtime", "fp32"])
    assert exported[2] == "raw, decoded, nms, jetson"
    assert exported[-1].endswith("0 unmatched")
    assert ["PyTorch", "bf16"] in [row[:2] for row in rows]
    values = json.loads(captured.out)
    for step in values.pop("next"):
        program, command, *arguments = shlex.split(step["command"])
        assert program == "ssdlite"
        parse(command, arguments)
    assert values == json.loads((tmp_path / "benchmark.json").read_text("utf-8"))
    measured = {row["name"]: row for row in values["rows"]}
    assert set(measured) == {
        EAGER,
        "torch fp32",
        "torch bf16",
        "onnx fp32",
        "torchvision ssdlite320_mobilenet_v3_large",
    }
    assert measured[EAGER]["relative_to_eager"] == 1
    assert measured["onnx fp32"]["voc_map50"] == pytest.approx(
        measured["torch fp32"]["voc_map50"], abs=1e-3
    )
    assert measured["torch fp32"]["voc_map50"] > 0.9
    assert measured["torchvision ssdlite320_mobilenet_v3_large"]["voc_map50"] is None
    assert all(row["peak_mb"] > 50 and row["images_per_second"] > 0 for row in measured.values())
    assert (tmp_path / "benchmark.png").read_bytes().startswith(b"\x89PNG")
