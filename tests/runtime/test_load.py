"""Detectors on every backend and from every file, and what cannot run."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from tests.detectors import decoded_by, detector_of
from tests.exported import BACKENDS, Images
from tests.reference_model import randomise
from vision.detector import Detector
from vision.errors import ConfigError, WeightsError
from vision.export import ExportSpec, export_detector
from vision.images import resize
from vision.model import build_model
from vision.runtime import RuntimeOptions, build_session
from vision.weights import SavedDetector

onnx: Any = pytest.importorskip("onnx")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_a_detector_is_the_same_on_every_backend_and_from_every_file(
    learnt: Path, exported: dict[str, Path], images: Images, backend: str
) -> None:
    weights = learnt / "best.safetensors"
    expected = Detector.load(weights, 0.2)(images)
    for path, asked in ((exported[backend], None), (weights, backend)):
        detector = Detector.load(path, 0.2, backend=asked, threads=1, streams=2)
        assert detector.names == ["circle", "square", "star", "triangle"]
        assert sum(map(len, expected)) > 8
        for found, one in zip(detector(images), expected, strict=True):
            assert len(found) == len(one)
            assert torch.equal(found.labels, one.labels)
            assert_close(found.scores, one.scores, rtol=0, atol=1e-5)
            assert_close(found.boxes, one.boxes, rtol=0, atol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_another_network_is_the_same_on_every_backend(
    saved: SavedDetector, images: Images, backend: str
) -> None:
    """At a size where maps double, and grow from 3 cells to 5 and from 5 to 9."""
    network = {"backbone": "mobilenet_v3_large", "neck": "fpn", "image_size": (160, 288)}
    config = saved.config.model.model_copy(update={**network, "width_mult": 0.25})
    model = build_model(config, len(saved.names))
    randomise(model)
    session = build_session(model, RuntimeOptions(backend))
    pixels = torch.from_numpy(np.stack([resize(image, (160, 288)) for image in images[:2]]))
    pixels = pixels.permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = decoded_by(model, pixels)
    found = session(pixels)
    assert expected.scores.std() > 0.01
    assert_close(found.scores, expected.scores, rtol=0, atol=1e-4)
    assert_close(found.boxes, expected.boxes, rtol=1e-4, atol=1e-4)


SIGNALLED = """
import os, signal, sys
from pathlib import Path
from vision.detector import Detector
signal.signal(signal.SIGINT, lambda *_: print("interrupted"))
detectors = [Detector.load(Path(sys.argv[1])) for _ in range(3)]
while detectors:
    del detectors[0]
os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_signals_arrive_when_openvino_detectors_have_gone(exported: dict[str, Path]) -> None:
    """Where the hardware has AMX, a core each left a freed stack for signals to arrive on."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", SIGNALLED, str(exported["openvino"])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


def test_precision_is_fp32_unless_asked_for(exported: dict[str, Path]) -> None:
    session: Any = Detector.load(exported["openvino"]).session
    compiled = session.runner._compiled
    assert str(compiled.get_property("INFERENCE_PRECISION_HINT")) == "<Type: 'float32'>"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            RuntimeOptions("onnx", precision="bf16"),
            "ONNX Runtime does not run weights in precision bf16",
        ),
        (
            RuntimeOptions("onnx", precision="fp16"),
            "needs an exported file; write one with ssdlite export --to onnx",
        ),
        (RuntimeOptions("openvino", precision="int8"), "needs an exported file"),
        (
            RuntimeOptions("torch", precision="int8"),
            "PyTorch does not run weights in precision int8",
        ),
        (RuntimeOptions("torch", "cpu", "fp16"), "fp16 is for GPUs"),
        (RuntimeOptions("onnx", "cuda"), "cannot be used by ONNX Runtime"),
        (RuntimeOptions("openvino", "npu"), "cannot be used by OpenVINO"),
    ],
)
def test_engines_that_cannot_be_had(
    saved: SavedDetector, options: RuntimeOptions, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        detector_of(saved, options=options)


def test_numbers_of_threads_that_are_none() -> None:
    with pytest.raises(ConfigError, match="threads: expected a number from 1 to 1024, got 0"):
        RuntimeOptions(threads=0)


@pytest.mark.slow
def test_files_that_cannot_be_run(
    exported: dict[str, Path], saved: SavedDetector, images: Images, tmp_path: Path
) -> None:
    for name, content in (("a.onnx", b"noise"), ("a.xml", b"<noise"), ("a.bin", b"")):
        (tmp_path / name).write_bytes(content)
    for name, message in (
        ("a.onnx", "cannot be read as ONNX"),
        ("a.xml", "cannot be read by OpenVINO"),
        ("none.onnx", "do not exist"),
        ("none.xml", "do not exist"),
    ):
        with pytest.raises(WeightsError, match=message):
            Detector.load(tmp_path / name)
    lone = tmp_path / "lone.xml"
    lone.write_bytes(exported["openvino"].read_bytes())
    with pytest.raises(WeightsError, match=r"lone\.bin cannot be read"):
        Detector.load(lone)
    with pytest.raises(ConfigError, match="run only in the backend onnx, not in torch"):
        Detector.load(exported["onnx"], backend="torch")
    for backend in BACKENDS:
        with pytest.raises(ConfigError, match="are fp32 and do not run in int8, only in fp32"):
            Detector.load(exported[backend], device="npu", precision="int8")
    export_detector(saved, ExportSpec("onnx", "raw"), tmp_path / "r.onnx", images)
    with pytest.raises(WeightsError, match="have the form raw"):
        Detector.load(tmp_path / "r.onnx")
    with pytest.raises(WeightsError, match="have the form raw"):
        Detector.load(tmp_path / "r.onnx", device="cuda:9")
    other = onnx.load(exported["onnx"])
    del other.metadata_props[:]
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(WeightsError, match="were not written by ssdlite export"):
        Detector.load(tmp_path / "other.onnx")
