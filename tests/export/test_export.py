"""Exported graphs: every form answers as PyTorch does, and what does not is refused."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor
from torch.testing import assert_close

from tests.reference_model import randomise
from tests.shared import SHARED, needs_shared
from vision.cli.main import main
from vision.config import SyntheticSource, VocSource
from vision.data import sample_images
from vision.detector import Detector
from vision.errors import ConfigError, WeightsError
from vision.export import ExportSpec, export
from vision.export.compare import LEAST_SCORE, Agreement, Runner, compare, detections_of, require
from vision.images import read_image, resize
from vision.model import DecodingNetwork, build_decoding, build_model, build_post_process
from vision.runtime import (
    FORMS,
    Backend,
    Form,
    Precision,
    RuntimeOptions,
    load_runnable,
    quantise,
    run_saved,
)
from vision.runtime.bias_correction import channel_means
from vision.runtime.onnx import OPSET, OnnxRunner
from vision.runtime.quantise import NUM_FLOAT, quantise_onnx, sensitive_nodes
from vision.structures import Decoded
from vision.weights import SavedDetector, load_weights

onnx: Any = pytest.importorskip("onnx")

SCENES = SyntheticSource(format="synthetic", num_images=8, seed=0, image_size=(128, 128))
SHIPPED = Path(__file__).parents[2] / "vision" / "pretrained" / "voc.safetensors"
BACKENDS: list[Backend] = ["onnx", "openvino"]
ALL = [(to, form) for to in BACKENDS for form in FORMS]

Change = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Images = list[UInt8[ndarray, "h w 3"]]


@pytest.fixture(scope="module")
def saved(learnt: Path) -> SavedDetector:
    return load_weights(learnt / "best.safetensors")


@pytest.fixture(scope="module")
def images() -> Images:
    return sample_images(SCENES, "scenes", 8, (128, 128))


@pytest.fixture(scope="module")
def exported(
    saved: SavedDetector, images: Images, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """One file of each backend, form decoded."""
    folder = tmp_path_factory.mktemp("exported")
    requests: list[ExportSpec] = [ExportSpec("onnx"), ExportSpec("openvino")]
    return {
        request.backend: export(saved, request, request.file(folder, "w"), images).path
        for request in requests
    }


@pytest.mark.parametrize(("to", "form"), ALL)
@pytest.mark.slow
def test_every_form_agrees_with_pytorch(
    saved: SavedDetector, images: Images, tmp_path: Path, to: Backend, form: Form
) -> None:
    request = ExportSpec(to, form)
    written = export(saved, request, request.file(tmp_path, "w"), images)
    assert written.agreement.num_images == 8
    assert written.agreement.num_detections > 8
    assert written.agreement.score_error < 1e-5
    assert written.agreement.box_error < 1e-2
    names = {path.name for path in tmp_path.iterdir()}
    suffixes = {"onnx": (".onnx",), "openvino": (".xml", ".bin")}[to]
    assert names == {f"w_{form}_fp32{suffix}" for suffix in suffixes}


@needs_shared
@pytest.mark.parametrize(
    ("to", "form", "precision"),
    [(*one, "fp32") for one in ALL]
    + [("onnx", "decoded", "fp16"), ("openvino", "decoded", "fp16")],
)
@pytest.mark.slow
def test_exports_agree_on_real_images(
    tmp_path: Path, to: Backend, form: Form, precision: Precision
) -> None:
    saved = load_weights(SHIPPED)
    source = VocSource(format="voc", root=str(SHARED / "data/voc07"), split="val")
    images = sample_images(source, "val", 56, saved.model.image_size)
    request = ExportSpec(to, form, precision)
    agreement = export(saved, request, request.file(tmp_path, "w"), images).agreement
    assert agreement.num_images == 56
    assert agreement.num_detections > 150
    assert agreement.num_unmatched == 0
    assert agreement.score_error <= (1e-3 if precision == "fp32" else 5e-3)
    assert agreement.box_error <= 0.5


@pytest.mark.slow
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


@pytest.mark.slow
def test_jetson_has_its_own_names_and_background_first(
    saved: SavedDetector, images: Images, tmp_path: Path
) -> None:
    path = tmp_path / "j.onnx"
    export(saved, ExportSpec("onnx", "jetson"), path, images)
    graph = onnx.load(path).graph
    assert [node.name for node in graph.input] == ["input_0"]
    assert [node.name for node in graph.output] == ["scores", "boxes"]
    pixels = images[0].transpose(2, 0, 1)[None].astype(np.float32)
    scores, boxes = OnnxRunner(path)(pixels / 127.5 - 1)
    assert scores.shape[2] == len(saved.names) + 1
    np.testing.assert_allclose(scores.sum(axis=2), 1, atol=1e-5)
    assert (scores[0].argmax(axis=1) == 0).mean() > 0.5
    decoded = build_decoding(saved.model)(torch.from_numpy(images[0].transpose(2, 0, 1)[None]))
    np.testing.assert_allclose(boxes, decoded.boxes.detach(), atol=1e-5)


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.slow
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
    export(changed, ExportSpec("onnx", "nms"), path, images)
    counts, boxes, scores, labels = OnnxRunner(path)(np.stack(images))
    assert boxes.shape == (8, 6, 4)
    assert counts.tolist() == [6] * 8
    network = build_decoding(saved.model)
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    expected = build_post_process(model)(network(batch), [(1, 1)] * 8)
    for row, one in enumerate(expected):
        assert labels[row].tolist() == one.labels.tolist()
        np.testing.assert_allclose(scores[row], one.scores, atol=1e-5)
        np.testing.assert_allclose(boxes[row], one.boxes, atol=1e-5)


def test_soft_nms_has_no_graph(saved: SavedDetector, images: Images, tmp_path: Path) -> None:
    post = saved.config.model.postprocess.model_copy(update={"suppression": "soft_nms"})
    model = saved.config.model.model_copy(update={"postprocess": post})
    changed = SavedDetector(
        saved.model, saved.config.model_copy(update={"model": model}), saved.names, {}
    )
    with pytest.raises(ConfigError, match="soft_nms has no operator in ONNX; export form decoded"):
        export(changed, ExportSpec("onnx", "nms"), tmp_path / "n.onnx", images)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_graph_that_answers_otherwise_is_an_error_and_leaves_no_file(
    saved: SavedDetector, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = OnnxRunner.__call__

    def wrong(self: OnnxRunner, pixels: ndarray) -> list[ndarray]:
        boxes, scores = run(self, pixels)
        return [boxes + 0.01, scores]

    monkeypatch.setattr(OnnxRunner, "__call__", wrong)
    with pytest.raises(WeightsError, match=r"w\.onnx does not answer as PyTorch does: 8 images"):
        export(saved, ExportSpec("onnx"), tmp_path / "w.onnx", images)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("agreement", "message"),
    [
        (Agreement(3, 0, 0.0, 0.0, 0), "nothing is found in 3 images"),
        (Agreement(3, 5, 2e-3, 0.0, 0), "does not answer"),
        (Agreement(3, 5, 0.0, 0.6, 0), "does not answer"),
        (Agreement(3, 5, 0.0, 0.0, 1), "1 detections have no counterpart"),
    ],
)
def test_what_does_not_agree(agreement: Agreement, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        require(agreement, "w")


def test_comparing_notices_what_is_missing_moved_or_new(
    saved: SavedDetector, images: Images
) -> None:
    network = build_decoding(saved.model)
    post_process = build_post_process(saved.config.model)
    right = run_saved(saved, RuntimeOptions("torch")).session

    def runner(change: Change) -> Runner:
        def run(pixels: ndarray) -> list[ndarray]:
            decoded = right(torch.from_numpy(pixels).permute(0, 3, 1, 2))
            return [part.numpy() for part in change(*decoded)]

        return run

    same = compare(runner(lambda b, s: (b, s)), "decoded", network, post_process, images)
    assert same == Agreement(8, same.num_detections, 0.0, 0.0, 0)
    moved = compare(runner(lambda b, s: (b + 1 / 128, s)), "decoded", network, post_process, images)
    assert 0.9 < moved.box_error < 1.1
    less = compare(runner(lambda b, s: (b, s * 0.99)), "decoded", network, post_process, images)
    assert 5e-3 < less.score_error < 1e-2
    none = compare(runner(lambda b, s: (b, s * 0)), "decoded", network, post_process, images)
    assert none.num_unmatched == none.num_detections > 8


@pytest.mark.parametrize(("gap", "error"), [(1e-6, 0.0), (1e-2, 0.05 * 128)])
def test_of_boxes_that_tie_either_may_stay(
    saved: SavedDetector, monkeypatch: pytest.MonkeyPatch, gap: float, error: float
) -> None:
    """Two boxes that suppress each other, and a graph that prefers the other one."""
    boxes = torch.tensor([[[0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.55]]])
    scores = torch.zeros(1, 2, 4)
    scores[0, :, 0] = torch.tensor([0.9, 0.9 - gap])
    monkeypatch.setattr(DecodingNetwork, "forward", lambda *_: Decoded(boxes, scores))
    agreement = compare(
        lambda _: [boxes.numpy(), scores.flip(1).numpy()],
        "decoded",
        build_decoding(saved.model),
        build_post_process(saved.config.model),
        [np.zeros((128, 128, 3), np.uint8)],
    )
    assert agreement.num_detections == 1
    assert agreement.num_unmatched == 0
    assert agreement.box_error == pytest.approx(error, abs=1e-4)


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
@pytest.mark.slow
def test_a_detector_is_the_same_on_every_backend_and_from_every_file(
    learnt: Path, exported: dict[str, Path], images: Images, backend: Backend
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


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.slow
def test_a_feature_pyramid_is_the_same_on_every_backend(
    saved: SavedDetector, images: Images, backend: Backend
) -> None:
    """At a size where maps double, and grow from 3 cells to 5 and from 5 to 9."""
    size = {"image_size": (160, 288), "width_mult": 0.25}
    config = saved.config.model.model_copy(update={"name": "ssdlite_fpn", **size})
    model = build_model(config, len(saved.names))
    randomise(model)
    whole = saved.config.model_copy(update={"model": config})
    session = run_saved(
        SavedDetector(model, whole, saved.names, {}), RuntimeOptions(backend)
    ).session
    pixels = torch.from_numpy(np.stack([resize(image, (160, 288)) for image in images[:2]]))
    pixels = pixels.permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = build_decoding(model)(pixels)
    found = session(pixels)
    assert expected.scores.std() > 0.01
    assert_close(found.scores, expected.scores, rtol=0, atol=1e-4)
    assert_close(found.boxes, expected.boxes, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("to", ["onnx", "openvino"])
@pytest.mark.slow
def test_int8_by_average_precision(
    saved: SavedDetector, tmp_path: Path, capsys: pytest.CaptureFixture[str], learnt: Path, to: str
) -> None:
    words = [str(learnt / "best.safetensors"), "--to", to, "--precision=int8"]
    words += ["--out", str(tmp_path), "train.device=cpu"]
    assert main(["export", *words]) == 0
    said = capsys.readouterr().out
    values = [line for line in said.splitlines() if line.startswith(("fp32: ", "int8: "))]
    fp32, int8 = (float(line.split()[2].rstrip(",")) for line in values)
    assert fp32 > 0.9
    assert int8 > fp32 - 0.1
    (path,) = [p for p in tmp_path.iterdir() if p.suffix in {".onnx", ".xml"}]
    assert load_runnable(path).session.image_size == (128, 128)
    if to == "onnx":
        kinds = [node.op_type for node in onnx.load(path).graph.node]
        assert kinds.count("QuantizeLinear") > 40


@pytest.mark.parametrize("to", BACKENDS)
@pytest.mark.slow
def test_int8_of_the_form_that_takes_floats(
    saved: SavedDetector, images: Images, tmp_path: Path, to: Backend
) -> None:
    request = ExportSpec(to, "jetson", "int8")
    written = export(saved, request, request.file(tmp_path, "w"), images, images)
    assert written.agreement.num_detections > 8
    assert written.agreement.num_unmatched <= 2
    assert 0 < written.agreement.score_error < 0.5


@pytest.mark.slow
def test_biases_make_up_for_rounding(
    exported: dict[str, Path], images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each convolution gives on average what it gave in float; without correction it does not."""
    model = onnx.load(exported["onnx"])
    batches = [image[None] for image in images]
    corrected = quantise_onnx(model, batches)
    monkeypatch.setattr(quantise, "correct_biases", lambda *_: None)
    rounded = quantise_onnx(model, batches)
    outputs = [node.output[0] for node in model.graph.node if node.op_type == "Conv"]
    wanted = channel_means(model, outputs, batches)
    after, before = (
        np.mean([np.abs(w - n).mean() for w, n in zip(wanted, means, strict=True)])
        for means in (channel_means(graph, outputs, batches) for graph in (corrected, rounded))
    )
    assert before > 0.001
    assert after < before / 10


@pytest.mark.slow
def test_the_first_convolutions_and_the_heads_stay_in_float(exported: dict[str, Path]) -> None:
    model = onnx.load(exported["onnx"])
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    kept = sensitive_nodes(model)
    assert kept[:NUM_FLOAT] == [node.name for node in convolutions[:NUM_FLOAT]]
    assert len(kept) == NUM_FLOAT + 24  # six levels, two heads, two convolutions each


@pytest.mark.slow
def test_half_precision_takes_half_the_space(
    saved: SavedDetector, images: Images, exported: dict[str, Path], tmp_path: Path
) -> None:
    for to, suffix in (("onnx", ".onnx"), ("openvino", ".bin")):
        request = ExportSpec(to, precision="fp16")  # type: ignore[arg-type]
        path = export(saved, request, request.file(tmp_path, "w"), images).path
        whole = exported[to].with_suffix(suffix).stat().st_size
        assert 0.4 < path.with_suffix(suffix).stat().st_size / whole < 0.65
        assert len(Detector.load(path, 0.2)(images[0])) > 0


SIGNALLED = """
import os, signal, sys
from pathlib import Path
from vision.export import load_runnable
signal.signal(signal.SIGINT, lambda *_: print("interrupted"))
detectors = [load_runnable(Path(sys.argv[1])) for _ in range(3)]
while detectors:
    del detectors[0]
os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
@pytest.mark.slow
def test_signals_arrive_when_openvino_detectors_have_gone(exported: dict[str, Path]) -> None:
    """Where the hardware has AMX, a core each left a freed stack for signals to arrive on."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", SIGNALLED, str(exported["openvino"])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


@pytest.mark.slow
def test_precision_is_fp32_unless_asked_for(exported: dict[str, Path]) -> None:
    runner: Any = load_runnable(exported["openvino"]).session
    compiled = runner._runner._compiled
    assert str(compiled.get_property("INFERENCE_PRECISION_HINT")) == "<Type: 'float32'>"


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (RuntimeOptions("onnx", precision="bf16"), "bf16 is not for ONNX Runtime"),
        (
            RuntimeOptions("onnx", precision="fp16"),
            "takes a file; write one with ssdlite export --to onnx",
        ),
        (RuntimeOptions("openvino", precision="int8"), "takes a file"),
        (RuntimeOptions("torch", precision="int8"), "int8 is not for PyTorch"),
        (RuntimeOptions("torch", "cpu", "fp16"), "fp16 is for GPUs"),
        (RuntimeOptions("onnx", "cuda"), "cannot be used by ONNX Runtime"),
        (RuntimeOptions("openvino", "npu"), "cannot be used by OpenVINO"),
    ],
)
def test_engines_that_cannot_be_had(
    saved: SavedDetector, engine: RuntimeOptions, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run_saved(saved, engine)


def test_numbers_of_threads_that_are_none() -> None:
    with pytest.raises(ConfigError, match="threads: expected a number from 1 on, got 0"):
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
            load_runnable(tmp_path / name)
    lone = tmp_path / "lone.xml"
    lone.write_bytes(exported["openvino"].read_bytes())
    with pytest.raises(WeightsError, match=r"lone\.bin do not exist"):
        load_runnable(lone)
    with pytest.raises(ConfigError, match="runs in the backend onnx, not in torch"):
        load_runnable(exported["onnx"], RuntimeOptions("torch"))
    with pytest.raises(ConfigError, match="are fp32 and do not run in int8"):
        load_runnable(exported["onnx"], RuntimeOptions(precision="int8"))
    export(saved, ExportSpec("onnx", "raw"), tmp_path / "r.onnx", images)
    with pytest.raises(WeightsError, match="of the form raw"):
        load_runnable(tmp_path / "r.onnx")
    other = onnx.load(exported["onnx"])
    del other.metadata_props[:]
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(WeightsError, match="was not written by ssdlite export"):
        load_runnable(tmp_path / "other.onnx")


@pytest.mark.slow
def test_the_command_compares_on_images_that_are_named(
    learnt: Path, images: Images, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from vision.media import write_image  # noqa: PLC0415

    for number, image in enumerate(images):
        write_image(tmp_path / "photos" / f"{number}.png", image)
    words = [str(learnt / "best.safetensors"), "--to=onnx", "--images", str(tmp_path / "photos")]
    words += ["--out", str(tmp_path / "out")]
    assert main(["export", *words]) == 0
    assert "against PyTorch: 8 images" in capsys.readouterr().out
    assert main(["export", *words]) == 2
    assert "exists; name another --out, or pass --overwrite" in capsys.readouterr().err
    assert main(["export", *words, "--overwrite"]) == 0
    path = tmp_path / "out" / "best_decoded_fp32.onnx"
    assert read_image(tmp_path / "photos/0.png").shape == (128, 128, 3)
    found = detections_of(
        OnnxRunner(path),
        "decoded",
        build_decoding(load_weights(learnt / "best.safetensors").model).decode,
        build_post_process(load_runnable(path).config.model),
        images[0][None],
    )
    assert bool((found[0].scores > LEAST_SCORE).any())
