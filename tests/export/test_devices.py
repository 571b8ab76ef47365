"""Every backend: its files answer as PyTorch does, and its errors are one line.

Those that need a package of an extra are left out where it is not installed.
"""

import json
import pickle
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from tests.detectors import detector_of
from tests.exported import BACKENDS, Images
from tests.reference_model import randomise
from tests.runs import few_blocks
from tests.runtime.test_fork import codes_after_a_fork
from vision.detector import Detector
from vision.errors import ConfigError, WeightsError
from vision.export import ExportSpec, export_detector
from vision.model import build_model
from vision.runtime import (
    Form,
    Precision,
    RuntimeOptions,
    build_session,
    graph_backends,
)
from vision.runtime.graphs import graph_input
from vision.weights import SHIPPED, SavedDetector, load_weights

PACKAGES = {
    "onnx": "onnxscript",
    "openvino": "openvino",
    "litert": "litert_torch",
    "executorch": "executorch",
    "ncnn": "pnnx",
}
"""What writes files."""
RUNTIMES = PACKAGES | {"onnx": "onnxruntime", "litert": "ai_edge_litert", "ncnn": "ncnn"}
"""What runs them."""
EXTRAS = {"onnx": "export", "openvino": "export"}
"""Those that are not called as the backend is."""


def needs(backend: str) -> None:
    if find_spec(PACKAGES[backend]) is None:
        pytest.skip(f"{PACKAGES[backend]} is not installed")


@pytest.fixture
def short(saved: SavedDetector) -> Iterator[SavedDetector]:
    """What takes time are nodes to lower."""
    with few_blocks():
        model = build_model(saved.config.model, len(saved.names)).eval()
        randomise(model)
        yield replace(saved, model=model)


@pytest.mark.filterwarnings("ignore")  # of the converters
@pytest.mark.parametrize("to", [name for name in graph_backends() if name not in BACKENDS])
@pytest.mark.slow
def test_a_detector_of_a_file_answers_as_pytorch_does(
    short: SavedDetector, images: Images, tmp_path: Path, to: str
) -> None:
    """ONNX's and OpenVINO's do in test_export.py and in tests/runtime."""
    needs(to)
    spec = ExportSpec(to)
    written = export_detector(short, spec, spec.file(tmp_path, "w"), images)
    assert written.agreement.num_detections > 8
    assert written.agreement.score_error < 1e-4
    assert written.agreement.box_error < 1e-2
    expected = detector_of(short, score=0.2)(images)
    found = Detector.load(written.path, 0.2)
    assert found.names == short.names
    for detector in (found, pickle.loads(pickle.dumps(found))):  # noqa: S301
        for one, other in zip(detector(images), expected, strict=True):
            assert one.labels.tolist() == other.labels.tolist()
            np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-2)
    # ExecuTorch chooses its threads by itself.
    codes = (
        {f"{written.path}:0": 2}
        if to == "executorch"
        else {f"{written.path}:2": 2, f"{written.path}:1": 0}
    )
    assert codes_after_a_fork(codes) == codes


@pytest.mark.filterwarnings("ignore")  # of the converters
@pytest.mark.slow
def test_tensorflow_lites_ssd_is_read_as_others_read_it(
    saved: SavedDetector, images: Images, tmp_path: Path
) -> None:
    """Pixels in, four tensors out by their place, names in the file's archive: as in Coral's."""
    needs("litert")
    spec = ExportSpec("litert", "ssd")
    written = export_detector(saved, spec, spec.file(tmp_path, "w"), images)
    assert written.agreement.num_detections > 8
    assert written.agreement.score_error < 1e-4
    with zipfile.ZipFile(written.path) as archive:
        assert archive.read("labels.txt").decode().split() == list(saved.names)
        strings = json.loads(archive.read("ssdlite.json"))
    assert strings["input"].startswith("images: uint8, 1 x H x W x 3, RGB from 0 to 255")
    assert strings["outputs"].startswith("location, category, score, count: ")
    assert written.path.with_suffix(".txt").read_text().split() == list(saved.names)
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415

    counts = []
    for threads in (1, 2, 4):
        interpreter = Interpreter(str(written.path), num_threads=threads)
        interpreter.allocate_tensors()
        outputs: list[Any] = []
        for image in images:
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
            interpreter.invoke()
            details = interpreter.get_output_details()
            outputs.append([interpreter.get_tensor(one["index"]) for one in details])
        boxes, labels, scores, count = outputs[0]
        limit = saved.config.model.postprocess.max_detections
        assert [one.shape for one in (boxes, labels, scores, count)] == [
            (1, limit, 4),
            (1, limit),
            (1, limit),
            (1,),
        ]
        filled = [(one[1][0, : int(one[3][0])], one[2][0, : int(one[3][0])]) for one in outputs]
        counts.append([sorted(labels[scores > 0.2].tolist()) for labels, scores in filled])
    assert counts[0] == counts[1] == counts[2]
    assert {label for row in counts[0] for label in row} == {
        float(label) for label in range(len(saved.names))
    }


@pytest.mark.filterwarnings("ignore")  # of the converters
@pytest.mark.parametrize(
    ("form", "precision"), [("decoded", "int8"), ("decoded", "int8w"), ("raw", "int8full")]
)
@pytest.mark.slow
def test_litert_in_8_bits(
    saved: SavedDetector, images: Images, tmp_path: Path, form: Form, precision: Precision
) -> None:
    needs("litert")
    spec = ExportSpec("litert", form, precision)
    written = export_detector(saved, spec, spec.file(tmp_path, "w"), images, images)
    assert written.agreement.num_detections > 8
    assert written.agreement.num_unmatched <= 2
    assert 0 < written.agreement.score_error < 0.5
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415

    interpreter = Interpreter(str(written.path))
    (taken,) = interpreter.get_input_details()
    assert taken["dtype"] == (np.int8 if precision == "int8full" else np.uint8)
    sizes = [one["dtype"] for one in interpreter.get_output_details()]
    assert sizes == [np.int8 if precision == "int8full" else np.float32] * 2


@pytest.mark.slow
def test_frigates_rows_come_from_bgr_pixels(
    saved: SavedDetector, images: Images, tmp_path: Path
) -> None:
    openvino: Any = pytest.importorskip("openvino")
    spec = ExportSpec("openvino", "frigate")
    path = export_detector(saved, spec, spec.file(tmp_path, "w"), images).path
    compiled = openvino.Core().compile_model(
        path, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    )
    (rows,) = compiled(graph_input("frigate", images[0][None])).values()
    assert rows.shape == (1, 1, saved.config.model.postprocess.max_detections, 7)
    rows = rows[0, 0][rows[0, 0, :, 2] > 0.2]
    (expected,) = detector_of(saved, score=0.2)(images[:1])
    assert rows[:, 1].tolist() == expected.labels.tolist()
    np.testing.assert_allclose(rows[:, 3:] * 128, expected.boxes, atol=0.5)
    lines = path.with_suffix(".txt").read_text().splitlines()
    assert lines == [f"{index}  {name}" for index, name in enumerate(saved.names)]


@pytest.mark.parametrize("name", graph_backends())
def test_what_a_backend_does_not_write_is_one_line_with_what_it_writes(name: str) -> None:
    backend = graph_backends()[name]
    for form in set(get_args(Form)) - set(backend.forms):
        with pytest.raises(ConfigError) as raised:
            ExportSpec(name, form).file(Path(), "w")
        assert str(raised.value) == (
            f"form {form} is not for files of {backend.title}; take one of"
            f" {', '.join(backend.forms)}"
        )
    for precision in set(get_args(Precision)) - set(backend.file_precisions):
        with pytest.raises(ConfigError) as raised:
            ExportSpec(name, precision=precision).file(Path(), "w")
        assert f"precision {precision} is not for files of {backend.title}" in str(raised.value)
        assert str(raised.value).endswith(", ".join(backend.file_precisions))


@pytest.mark.parametrize(
    ("name", "form", "precision", "known"),
    [("tflite", "ssd", "int8full", "raw"), ("openvino", "frigate", "fp16", "raw, decoded, nms")],
)
def test_forms_that_a_precision_lacks(
    name: str, form: Form, precision: Precision, known: str
) -> None:
    text = f"precision {precision} with form {form} is not for files of .*; take one of {known}"
    with pytest.raises(ConfigError, match=text):
        ExportSpec(name, form, precision).check()


@pytest.mark.parametrize("name", graph_backends())
def test_a_missing_package_is_one_line_with_its_extra(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(package: str) -> None:
        raise ModuleNotFoundError(package)

    model = load_weights(SHIPPED["voc"]).model
    monkeypatch.setattr("vision.extras.import_module", missing)
    extra = EXTRAS.get(name, name)
    with pytest.raises(ConfigError, match=rf'is not installed; .* pip install "\.\[{extra}\]"$'):
        build_session(model, RuntimeOptions(name))


@pytest.mark.parametrize("name", graph_backends())
def test_files_of_others_are_one_line(tmp_path: Path, name: str) -> None:
    pytest.importorskip(RUNTIMES[name])
    path = tmp_path / f"w{graph_backends()[name].suffix}"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsError, match=r"w\.") as raised:
        Detector.load(path)
    assert "\n" not in str(raised.value)
