"""docs/examples/plain_numpy.md: its NumPy gives the detections of `Detector`."""

import re
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.detectors import detector_of
from tests.exported import Images, images, saved
from tests.test_package import FENCED, ROOT
from vision.export import ExportSpec, export_detector
from vision.images import resize
from vision.media import write_image
from vision.model import build_post_process, decode_predictions
from vision.runtime.decoding import decoding_of
from vision.structures import Decoded, Predictions
from vision.weights import SavedDetector

__all__ = ["images", "saved"]

PAGE = (ROOT / "docs/examples/plain_numpy.md").read_text(encoding="utf-8")
DECODER, *PROGRAMS = (code for language, code in FENCED.findall(PAGE) if language == "python")
FILE = re.compile(r'"exported/coco_([a-z]+)_fp32\.(onnx|xml|tflite)"')
BACKENDS = {"onnx": "onnx", "xml": "openvino", "tflite": "litert"}
PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino", "litert": "litert_torch"}


def decoder() -> ModuleType:
    module = ModuleType("decode")
    exec(compile(DECODER, "decode.py", "exec"), vars(module))  # noqa: S102
    return module


def test_programs_are_short_and_of_every_form() -> None:
    assert len(DECODER.splitlines()) <= 60
    assert all(len(code.splitlines()) <= 15 for code in PROGRAMS)
    forms = [match[1] for code in PROGRAMS for match in FILE.finditer(code)]
    assert forms == ["raw", "decoded", "nms", "jetson", "frigate", "ssd"]


def test_each_key_of_the_file_is_on_the_page(saved: SavedDetector) -> None:
    missing = [key for key in decoding_of(saved.config.model) if f"`{key}`" not in PAGE]
    assert missing == []


@pytest.mark.parametrize("scores", ["sigmoid", "softmax"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"class_agnostic": True, "clip_before_nms": True},
        {"max_per_class": 7, "max_candidates": 30},
        {"max_detections": 5, "nms_iou": 0.2},
    ],
)
def test_the_decoder_follows_every_setting(
    saved: SavedDetector, scores: str, settings: dict[str, Any]
) -> None:
    rng = torch.Generator().manual_seed(0)
    priors = torch.rand(300, 4, generator=rng) * 0.5 + 0.1
    logits, offsets = torch.randn(300, 4, generator=rng), 3 * torch.randn(300, 4, generator=rng)
    offsets[0, 2:] = 1e3
    post_process = build_post_process(saved.config.model)
    changed = replace(post_process, suppression="nms", **settings)
    rules = {**decoding_of(saved.config.model), **settings, "scores": scores}
    shown = decoder()
    boxes, values = shown.decode(logits.numpy(), offsets.numpy(), priors.numpy(), rules)
    decoded = decode_predictions(Predictions(logits[None], offsets[None]), priors, scores)  # type: ignore[arg-type]
    np.testing.assert_allclose(boxes, decoded.boxes[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(values, decoded.scores[0], atol=1e-6)
    exact = Decoded(torch.from_numpy(boxes)[None], torch.from_numpy(values)[None])
    (expected,) = changed(exact, [(1, 1)], 0.3)
    boxes, found, labels = shown.suppress(boxes, values, rules, 0.3)
    assert len(expected) >= 5
    assert labels.tolist() == expected.labels.tolist()
    np.testing.assert_allclose(found, expected.scores, atol=1e-6)
    np.testing.assert_allclose(boxes, expected.boxes, atol=1e-5)


@pytest.mark.filterwarnings("ignore")  # of the converters
@pytest.mark.parametrize("code", PROGRAMS, ids=[FILE.search(code)[1] for code in PROGRAMS])  # type: ignore[index]
@pytest.mark.slow
def test_a_program_finds_what_the_detector_finds(
    saved: SavedDetector,
    images: Images,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
) -> None:
    match = FILE.search(code)
    assert match is not None
    backend = BACKENDS[match[2]]
    if find_spec(PACKAGES[backend]) is None:
        pytest.skip(f"{PACKAGES[backend]} is not installed")
    spec = ExportSpec(backend, match[1])  # type: ignore[arg-type]
    export_detector(saved, spec, spec.file(tmp_path / "exported", "coco"), images)
    photo = tmp_path / "photo.jpg"
    write_image(photo, resize(images[0], (200, 300)))  # of another size than the network's
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "decode", decoder())
    shown = SimpleNamespace()
    exec(compile(code, "shown", "exec"), vars(shown))  # noqa: S102
    expected = detector_of(saved, score=0.3)(str(photo))
    assert len(expected) >= 2
    assert shown.labels.tolist() == expected.labels.tolist()
    np.testing.assert_allclose(shown.scores, expected.scores, atol=1e-3)
    np.testing.assert_allclose(shown.boxes * [300, 200, 300, 200], expected.boxes, atol=0.5)
