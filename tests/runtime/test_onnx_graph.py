"""ONNX graphs: names, metadata, and suppression inside them."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch

from tests.detectors import decoded_by
from tests.exported import Images
from vision.errors import ConfigError
from vision.export import ExportSpec, export_detector
from vision.model import build_post_process
from vision.runtime.onnx_graph import OPSET, OnnxRunner
from vision.weights import SavedDetector

onnx: Any = pytest.importorskip("onnx")
onnxruntime: Any = pytest.importorskip("onnxruntime")


def test_what_an_onnx_file_says_of_itself(exported: dict[str, Path]) -> None:
    model = onnx.load(exported["onnx"])
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    said = {prop.key: prop.value for prop in model.metadata_props}
    assert said["names"] == '["circle", "square", "star", "triangle"]'
    assert said["input"] == (
        "images: uint8, N x H x W x 3, RGB from 0 to 255, stretched to 128 x 128 (height x width)"
    )
    (taken,) = model.graph.input
    dims = taken.type.tensor_type.shape.dim
    assert taken.name == "images"
    assert [d.dim_param or d.dim_value for d in dims] == ["batch", 128, 128, 3]


def test_threads_of_onnx_runtime_do_not_spin_between_calls(exported: dict[str, Path]) -> None:
    """They take the cores from what prepares the next image and suppresses boxes."""
    with patch("onnxruntime.InferenceSession", wraps=onnxruntime.InferenceSession) as opened:
        OnnxRunner(exported["onnx"])
    options = opened.call_args.args[1]
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.slow
def test_jetson_has_its_own_names_and_background_first(
    saved: SavedDetector, images: Images, tmp_path: Path
) -> None:
    path = tmp_path / "j.onnx"
    export_detector(saved, ExportSpec("onnx", "jetson"), path, images)
    graph = onnx.load(path).graph
    assert [node.name for node in graph.input] == ["input_0"]
    assert [node.name for node in graph.output] == ["scores", "boxes"]
    pixels = images[0].transpose(2, 0, 1)[None].astype(np.float32)
    scores, boxes = OnnxRunner(path)(pixels / 127.5 - 1)
    assert scores.shape[2] == len(saved.names) + 1
    np.testing.assert_allclose(scores.sum(axis=2), 1, atol=1e-5)
    assert (scores[0].argmax(axis=1) == 0).mean() > 0.5
    decoded = decoded_by(saved.model, torch.from_numpy(images[0].transpose(2, 0, 1)[None]))
    np.testing.assert_allclose(boxes, decoded.boxes.detach(), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("class_agnostic", [False, True])
def test_suppression_in_the_graph_is_ours(
    saved: SavedDetector, images: Images, tmp_path: Path, class_agnostic: bool
) -> None:
    settings = {"class_agnostic": class_agnostic, "nms_iou": 0.3, "max_detections": 6}
    post = saved.config.model.postprocess.model_copy(update=settings | {"max_per_class": 20})
    model = saved.config.model.model_copy(update={"postprocess": post})
    changed = SavedDetector(
        saved.model, saved.config.model_copy(update={"model": model}), saved.names, {}
    )
    path = tmp_path / "n.onnx"
    export_detector(changed, ExportSpec("onnx", "nms"), path, images)
    counts, boxes, scores, labels = OnnxRunner(path)(np.stack(images))
    assert boxes.shape == (8, 6, 4)
    assert counts.tolist() == [6] * 8
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    expected = build_post_process(model)(decoded_by(saved.model, batch), [(1, 1)] * 8)
    for row, one in enumerate(expected):
        assert labels[row].tolist() == one.labels.tolist()
        np.testing.assert_allclose(scores[row], one.scores, atol=1e-5)
        np.testing.assert_allclose(boxes[row], one.boxes, atol=1e-5)


def test_soft_nms_has_no_graph(
    saved: SavedDetector, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is said before anything is exported."""
    monkeypatch.setattr(torch.onnx, "export", None)
    post = saved.config.model.postprocess.model_copy(update={"suppression": "soft_nms"})
    model = saved.config.model.model_copy(update={"postprocess": post})
    changed = SavedDetector(
        saved.model, saved.config.model_copy(update={"model": model}), saved.names, {}
    )
    with pytest.raises(ConfigError, match="soft_nms has no operator in ONNX; export form decoded"):
        export_detector(changed, ExportSpec("onnx", "nms"), tmp_path / "n.onnx", images)
    assert not list(tmp_path.iterdir())
