"""Exported graphs: every form answers as PyTorch does, and what does not is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy import ndarray

import vision
from tests.detectors import detector_of
from tests.exported import BACKENDS, Images
from tests.reference_model import randomise
from tests.runs import scenes
from tests.shared import SHARED, needs_shared
from vision.cli.main import main
from vision.cli.options import read_images
from vision.config import VocSource
from vision.data import sample_images
from vision.detector import Detector
from vision.errors import WeightsError
from vision.export import ExportSpec, export_detector
from vision.export.compare import MIN_SCORE, detections_of
from vision.images import read_image
from vision.media import write_image
from vision.model import build_model, fuse
from vision.runtime import Form, Precision, get_graph_backend
from vision.runtime.onnx_graph import OnnxRunner
from vision.weights import SHIPPED, SavedDetector, load_weights

onnx: Any = pytest.importorskip("onnx")

ALL = [(to, form) for to in BACKENDS for form in get_graph_backend(to).forms]


@pytest.mark.parametrize(("to", "form"), ALL)
@pytest.mark.slow
def test_every_form_agrees_with_pytorch(
    saved: SavedDetector, images: Images, tmp_path: Path, to: str, form: Form
) -> None:
    spec = ExportSpec(to, form)
    written = export_detector(saved, spec, spec.file(tmp_path, "w"), images)
    assert written.agreement.num_images == 8
    assert written.agreement.num_detections > 8
    assert written.agreement.score_error < 1e-5
    assert written.agreement.box_error < 1e-2
    names = {path.name for path in tmp_path.iterdir()}
    suffixes = {"onnx": (".onnx",), "openvino": (".xml", ".bin")}[to]
    suffixes += (".txt",) if form == "frigate" else ()
    suffixes += (".decoding.json", ".priors.npy") if form == "raw" else ()
    assert names == {f"w_{form}_fp32{suffix}" for suffix in suffixes}


@pytest.mark.parametrize("form", ["raw", "nms"])
@pytest.mark.slow
def test_the_pyramid_with_sigmoid_scores_agrees_with_pytorch(
    saved: SavedDetector, images: Images, tmp_path: Path, form: Form
) -> None:
    """The form decoded is what nms begins with; raw has its scores computed outside the graph."""
    update = {"neck": "fpn", "scores": "sigmoid", "width_mult": 0.25}
    model_config = saved.config.model.model_copy(update=update)
    config = saved.config.model_copy(update={"model": model_config})
    model = build_model(config.model, len(saved.names)).eval()
    randomise(model)
    other = replace(saved, model=model, config=config)
    spec = ExportSpec("onnx", form)
    agreement = export_detector(other, spec, spec.file(tmp_path, "w"), images).agreement
    assert agreement.num_detections > 8
    assert agreement.num_unmatched == 0
    assert agreement.score_error < 1e-5
    assert agreement.box_error < 1e-2


@pytest.mark.slow
def test_a_file_says_what_it_takes_to_run_it(exported: dict[str, Path]) -> None:
    """With the producer, and names of nodes, but nothing of the machine that wrote it."""
    model = onnx.load(exported["onnx"])
    assert (model.producer_name, model.producer_version) == ("ssdlite", vision.__version__)
    names = [node.name for node in model.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")  # Weights may have any three letters.
    content = model.SerializeToString()
    assert str(Path.cwd()).encode() not in content
    assert b".py" not in content
    info = pytest.importorskip("openvino").Core().read_model(exported["openvino"])
    for prop in model.metadata_props:
        if prop.key != "date":
            assert str(info.get_rt_info(["ssdlite", prop.key]).astype(str)) == prop.value
    strings = {prop.key: prop.value for prop in model.metadata_props}
    assert {"decoding", "resize", "license", "producer", "date"} <= strings.keys()
    assert json.loads(strings["decoding"])["image_size"] == [128, 128]


@pytest.mark.parametrize("to", BACKENDS)
@pytest.mark.slow
def test_the_form_nms_is_compared_above_its_own_threshold(
    saved: SavedDetector, images: Images, tmp_path: Path, to: str
) -> None:
    """The threshold is in the graph, so that detections below it have no counterpart."""
    post = saved.config.model.postprocess.model_copy(update={"score_threshold": 0.5})
    model = saved.config.model.model_copy(update={"postprocess": post})
    config = saved.config.model_copy(update={"model": model})
    spec = ExportSpec(to, "nms")
    path = spec.file(tmp_path, "w")
    agreement = export_detector(replace(saved, config=config), spec, path, images).agreement
    assert agreement.min_score == 0.5
    assert "detections with a score of at least 0.5" in str(agreement)
    all_scores = detector_of(saved, score=0.1)(images)
    counts = [int((one.scores >= 0.5).sum()) for one in all_scores]
    assert agreement.num_detections == sum(counts) > 8
    assert sum(map(len, all_scores)) > sum(counts)


@needs_shared
@pytest.mark.parametrize(
    ("to", "form", "precision"),
    # The other forms share all but their first and last nodes, and OpenVINO reads ONNX's graph.
    [("onnx", "nms", "fp32"), ("openvino", "decoded", "fp16")],
)
@pytest.mark.slow
def test_exports_agree_on_real_images(
    tmp_path: Path, to: str, form: Form, precision: Precision
) -> None:
    saved = load_weights(SHIPPED["coco"])
    source = VocSource(format="voc", root=str(SHARED / "data/voc07"), split="val")
    num_images = 16 if form == "decoded" else 8
    images = sample_images(source, "val", num_images, saved.model.image_size)
    spec = ExportSpec(to, form, precision)
    agreement = export_detector(saved, spec, spec.file(tmp_path, "w"), images).agreement
    assert agreement.num_images == num_images
    assert agreement.num_detections > 2.5 * num_images
    assert agreement.num_unmatched == 0
    assert agreement.score_error <= (1e-3 if precision == "fp32" else 5e-3)
    assert agreement.box_error <= 0.5


def test_a_graph_that_answers_otherwise_is_an_error_and_leaves_no_file(
    saved: SavedDetector, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = OnnxRunner.__call__

    def wrong(self: OnnxRunner, pixels: ndarray) -> list[ndarray]:
        boxes, scores = run(self, pixels)
        return [boxes + 0.01, scores]

    monkeypatch.setattr(OnnxRunner, "__call__", wrong)
    expected = r"w\.onnx does not give the same detections as PyTorch: 8 images"
    with pytest.raises(WeightsError, match=expected):
        export_detector(saved, ExportSpec("onnx"), tmp_path / "w.onnx", images)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("to", ["onnx", "openvino"])
@pytest.mark.slow
def test_int8_by_average_precision(
    saved: SavedDetector, tmp_path: Path, capsys: pytest.CaptureFixture[str], learnt: Path, to: str
) -> None:
    words = [str(learnt / "best.safetensors"), "--to", to, "--precision=int8"]
    words += ["--out", str(tmp_path), "train.device=cpu", f"data.train={scenes(8)}"]
    assert main(["export", *words]) == 0
    said = capsys.readouterr().out
    values = [line for line in said.splitlines() if line.startswith(("fp32: ", "int8: "))]
    fp32, int8 = (float(line.split()[2].rstrip(",")) for line in values)
    assert fp32 > 0.9
    assert int8 > fp32 - 0.1
    (path,) = [p for p in tmp_path.iterdir() if p.suffix in {".onnx", ".xml"}]
    assert Detector.load(path).image_size == (128, 128)
    if to == "onnx":
        kinds = [node.op_type for node in onnx.load(path).graph.node]
        assert kinds.count("QuantizeLinear") > 40


@pytest.mark.slow
def test_int8_of_the_form_that_takes_floats(
    saved: SavedDetector, images: Images, tmp_path: Path
) -> None:
    spec = ExportSpec("onnx", "jetson", "int8")
    written = export_detector(saved, spec, spec.file(tmp_path, "w"), images, images)
    assert written.agreement.num_detections > 8
    assert written.agreement.num_unmatched <= 2
    assert 0 < written.agreement.score_error < 0.5


@pytest.mark.slow
def test_half_precision_takes_half_the_space(
    saved: SavedDetector, images: Images, exported: dict[str, Path], tmp_path: Path
) -> None:
    for to, suffix in (("onnx", ".onnx"), ("openvino", ".bin")):
        spec = ExportSpec(to, precision="fp16")
        path = export_detector(saved, spec, spec.file(tmp_path, "w"), images).path
        full = exported[to].with_suffix(suffix).stat().st_size
        assert 0.4 < path.with_suffix(suffix).stat().st_size / full < 0.65
        assert len(Detector.load(path, 0.2)(images[0])) > 0


@pytest.mark.slow
def test_the_command_compares_on_images_that_are_named(
    learnt: Path, images: Images, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
        fuse(load_weights(learnt / "best.safetensors").model),
        Detector.load(path).post_process,
        images[0][None],
    )
    assert bool((found[0].scores > MIN_SCORE).any())


@pytest.mark.slow
def test_without_data_the_comparison_is_on_default_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped weights name folders of another machine, which nobody else has."""
    monkeypatch.setattr("vision.cli.export.NUM_COMPARED", 10)
    assert main(["export", "coco", "--to=onnx", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "no data are named: compared on synthetic scenes and crops" in said
    assert "against PyTorch: 10 images" in said
    assert (tmp_path / "coco_decoded_fp32.onnx").is_file()


def test_int8_is_not_calibrated_on_default_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", "voc", "--to=onnx", "--precision=int8", "--out", str(tmp_path)]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "pass --images FOLDER" in said
    assert "'data.train={format: voc, root: VOC2007, split: train}'" in said


def test_images_of_a_folder_are_from_all_over_it(tmp_path: Path) -> None:
    """Each of a brightness of its own, and the first ten are not all that is seen."""
    for number in range(100):
        write_image(tmp_path / f"{number:03}.png", np.full((8, 8, 3), number, np.uint8))
    images = read_images([str(tmp_path)], 10, (8, 8))
    assert [int(image[0, 0, 0]) for image in images] == list(range(0, 100, 10))
    assert len(read_images([str(tmp_path)], 1000, (4, 4))) == 100
