"""``ssdlite eval``: the numbers of weights or of detections, on which data, and its refusals."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.test_train import error_line
from tests.formats.builders import voc_object, voc_xml, write_voc
from tests.runs import read_metrics, scenes, write_run_config
from vision.cli.main import main
from vision.media import write_image

TRUTH = {
    "images": [{"id": 1, "width": 100, "height": 100}],
    "categories": [{"id": 5, "name": "cat"}, {"id": 9, "name": "dog"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 5, "bbox": [10, 10, 40, 40]},
        {"id": 2, "image_id": 1, "category_id": 9, "bbox": [60, 60, 20, 20]},
    ],
}
FOUND = [
    {"image_id": 1, "category_id": 5, "bbox": [10, 10, 40, 40], "score": 0.9},
    {"image_id": 1, "category_id": 9, "bbox": [0, 0, 20, 20], "score": 0.8},
]


@pytest.fixture(scope="module")
def weights(learnt: Path) -> str:
    return str(learnt / "best.safetensors")


def as_trained(learnt: Path) -> dict[str, Any]:
    """The evaluation that training made of its best weights."""
    metrics = read_metrics(learnt)
    return {key: metrics[key] for key in ("coco", "voc", "num_images", "num_classes_with_boxes")}


def evaluate(out: Path, *words: str) -> dict[str, Any]:
    """What the command writes."""
    assert main(["eval", *words, "--out", str(out)]) == 0
    return read_metrics(out)


def write_files(folder: Path) -> list[str]:
    """A file of annotations and one of detections, as options."""
    (folder / "truth.json").write_text(json.dumps(TRUTH), encoding="utf-8")
    (folder / "found.json").write_text(json.dumps(FOUND), encoding="utf-8")
    return [
        *("--annotations", str(folder / "truth.json")),
        *("--detections", str(folder / "found.json")),
    ]


def test_weights_alone_are_worth_what_training_said(
    weights: str, learnt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluate(tmp_path / "a" / "b", "--weights", weights)
    assert found.pop("irregularities") == {}
    assert found == as_trained(learnt)
    said = capsys.readouterr().out
    assert f"{found['coco']['AP']:.3f}" in said
    assert f"{found['voc']['mAP50']:.3f}" in said
    assert f"metrics are in {tmp_path / 'a' / 'b' / 'metrics.json'}" in said


def test_without_a_folder_it_only_prints(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["eval", "--weights", weights, "data.val.num_images=1"]) == 0
    assert not list(tmp_path.iterdir())


def test_tiles_of_images_of_the_networks_size_change_nothing(
    weights: str, learnt: Path, tmp_path: Path
) -> None:
    """There are none, though the images are read at their own size; two along a side do."""
    found = evaluate(tmp_path / "auto", "--weights", weights, "--tiles=auto")
    assert (found.pop("tiles"), found.pop("irregularities")) == ("auto", {})
    assert found == as_trained(learnt)
    one, two = (
        evaluate(tmp_path / tiles, "--weights", weights, "--tiles", tiles, "data.val.seed=5")
        for tiles in "12"
    )
    assert one["coco"] != two["coco"]


@pytest.mark.slow
def test_other_data_give_other_numbers_the_same_by_override_and_by_file(
    weights: str, learnt: Path, tmp_path: Path
) -> None:
    """Eight scenes learnt by heart teach little of others."""
    other = evaluate(tmp_path / "override", "--weights", weights, "data.val.seed=5")
    assert other["num_images"] == 8
    assert other["voc"]["mAP50"] < 0.7 * as_trained(learnt)["voc"]["mAP50"]
    # The file's network is not that of the weights: these know their own.
    values = (f"data.val={scenes(seed=5)}", "model.image_size=160", "model.width_mult=1.0")
    config = write_run_config(tmp_path / "other.yaml", *values)
    assert evaluate(tmp_path / "file", "--weights", weights, "--config", config) == other
    fewer = ("--config", config, "data.val.num_images=3", "train.batch_size=2")
    assert evaluate(tmp_path / "both", "--weights", weights, *fewer)["num_images"] == 3


def test_judges_the_classes_named_alone(weights: str, learnt: Path, tmp_path: Path) -> None:
    every = as_trained(learnt)
    kept = {name for name, value in every["voc"]["per_class"].items() if value is not None}
    kept -= {"square"}
    found = evaluate(tmp_path, "--weights", weights, f"data.classes=[{', '.join(sorted(kept))}]")
    for family in ("coco", "voc"):
        for name, value in found[family]["per_class"].items():
            assert value == (every[family]["per_class"][name] if name in kept else None)


def voc_of(folder: Path, *names: str) -> str:
    """An override of ``data.val``: a VOC folder of one image with an object of each name."""
    xml = voc_xml(*(voc_object(name, (11, 6, 30, 20)) for name in names))
    return f"data.val={{format: voc, root: '{write_voc(folder, {'a': xml})}', split: train}}"


def test_names_the_classes_that_the_weights_do_not_know(
    weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    val = voc_of(tmp_path / "voc", "walrus", "circle", "zebra")
    command = ["eval", "--weights", weights, val]
    assert main(command) == 2
    said = error_line(capsys)
    assert "does not know: walrus, zebra;" in said
    assert "circle, square, star, triangle" in said
    assert main([*command, "data.classes=[star, walrus]"]) == 2
    assert "does not know: walrus;" in error_line(capsys)
    found = evaluate(tmp_path, "--weights", weights, val, "data.classes=[circle]")
    assert found["num_images"] == 1
    assert found["voc"]["per_class"]["circle"] is not None
    assert found["irregularities"] == {"boxes of other classes left out": 2}


def test_names_of_voc_and_coco_for_one_class_are_matched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = voc_of(tmp_path / "voc", "sofa", "tvmonitor", "person")
    theirs = voc_of(tmp_path / "coco", "couch", "tv", "person")
    found = evaluate(tmp_path / "a", "--weights=coco", ours)
    assert found["num_classes_with_boxes"] == 3
    assert found == evaluate(tmp_path / "b", "--weights=coco", theirs)
    found = evaluate(tmp_path / "c", "--weights=coco", ours, "data.classes=[sofa]")
    assert found == evaluate(tmp_path / "d", "--weights=coco", theirs, "data.classes=[couch]")
    capsys.readouterr()
    both = voc_of(tmp_path / "both", "sofa", "couch")  # two classes, of which one is unknown
    assert main(["eval", "--weights=coco", both]) == 2
    assert "does not know: sofa;" in error_line(capsys)


def test_detections_of_any_other_detector(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluate(tmp_path / "out", *write_files(tmp_path))
    assert found["voc"]["per_class"] == {"cat": 1.0, "dog": 0.0}
    assert found["coco"]["per_class"] == {"cat": 1.0, "dog": 0.0}
    assert found["coco"]["AP"] == 0.5
    said = capsys.readouterr().out
    assert "1 images, 2 boxes" in said
    assert "0.500" in said


def test_the_reference_gives_the_same_numbers(tmp_path: Path) -> None:
    words = write_files(tmp_path)
    reference = evaluate(tmp_path / "reference", *words, "--engine", "pycocotools")
    found = evaluate(tmp_path / "found", *words)
    assert reference["voc"] == found["voc"]
    per_class = found["coco"].pop("per_class")
    assert reference["coco"].pop("per_class") == pytest.approx(per_class, abs=1e-9)
    assert reference["coco"] == pytest.approx(found["coco"], abs=1e-9)


def test_earlier_metrics_are_replaced_only_when_asked_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["eval", *write_files(tmp_path), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    (tmp_path / "out" / "metrics.json").write_text("{}", encoding="utf-8")
    capsys.readouterr()
    assert main(words) == 2
    assert error_line(capsys).endswith("exists; name another --out, or pass --overwrite")
    assert read_metrics(tmp_path / "out") == {}
    assert main([*words, "--overwrite"]) == 0
    assert read_metrics(tmp_path / "out")["coco"]["AP"] == 0.5


def test_the_detector_of_the_package_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "data.val={format: synthetic, num_images: 1}"]) == 2
    assert "does not know" in error_line(capsys)
    assert main(["eval", "data.val=null"]) == 2
    assert "data.val is missing" in error_line(capsys)


def test_a_file_of_another_form_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = write_files(tmp_path)
    (tmp_path / "found.json").write_text("{}", encoding="utf-8")
    assert main(["eval", *options]) == 2
    assert "found.json" in error_line(capsys)


@pytest.fixture
def run_folder(learnt: Path, tmp_path: Path) -> Path:
    """A copy of what evaluation needs of a run folder."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("best.safetensors", "config.yaml", "environment.json"):
        shutil.copy(learnt / name, folder)
    return folder


def test_the_report_of_a_run_is_written_beside_the_one_of_its_training(
    run_folder: Path, learnt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run_folder / "report.html").write_text("of the training", encoding="utf-8")
    words = ["eval", "--weights", str(run_folder), "--report"]
    assert main(words) == 0
    assert (run_folder / "report.html").read_text(encoding="utf-8") == "of the training"
    page = run_folder / "eval" / "report.html"
    assert f"\nthe report is {page}\nnext:\n" in capsys.readouterr().out
    assert not (run_folder / "metrics.json").exists()
    assert not (page.parent / "metrics.json").exists()
    text = page.read_text(encoding="utf-8")
    assert f"voc.mAP50 is {as_trained(learnt)['voc']['mAP50']:.3f}" in text
    assert f"ssdlite detect photos/ --weights {run_folder} --score best" in text
    assert f"{run_folder} on synthetic images" in text
    assert main(words) == 2
    assert error_line(capsys).endswith("exists; name another --out, or pass --overwrite")
    assert main([*words, "--overwrite"]) == 0


def test_a_report_adds_thresholds_and_intervals_to_the_metrics(
    weights: str, learnt: Path, tmp_path: Path
) -> None:
    found = evaluate(tmp_path, "--weights", weights, "--report")
    trained = read_metrics(learnt)
    assert found.pop("thresholds") == trained["thresholds"]
    assert found.pop("interval95") == trained["interval95"]
    assert found.pop("irregularities") == {}
    assert found == as_trained(learnt)
    assert (tmp_path / "report.html").is_file()


def test_the_report_of_a_files_detections_has_pictures_if_the_images_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    truth = TRUTH | {"images": [{"id": 1, "width": 100, "height": 100, "file_name": "x/a.png"}]}
    options = write_files(tmp_path)
    (tmp_path / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    assert main(["eval", *options, "--report"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == [
        "the report has no pictures; name the folder of the images with --images",
        f"the report is {Path('report') / 'report.html'}",
    ]
    assert "<img" not in Path("report/report.html").read_text(encoding="utf-8")
    write_image(tmp_path / "images" / "a.png", np.full((100, 100, 3), 90, np.uint8))
    words = ["--report", "--images", "images", "--out", "out"]
    assert main(["eval", *options, *words]) == 0
    text = Path("out/report.html").read_text(encoding="utf-8")
    assert text.count("<img") == text.count("<figure") > 0
    assert "dog 0.80, nothing labelled" in text
    assert read_metrics(tmp_path / "out")["thresholds"] == {"cat": pytest.approx(0.9, abs=1e-3)}


def test_the_report_of_images_without_boxes_says_so(tmp_path: Path) -> None:
    options = write_files(tmp_path)
    truth = TRUTH | {"annotations": []}
    (tmp_path / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    assert main(["eval", *options, "--report", "--out", str(tmp_path)]) == 0
    assert "Nothing can be measured" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert read_metrics(tmp_path)["interval95"] == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--images", "nowhere", "--report"], "--images nowhere is not a folder; name the folder"),
        (["--images", ".", "--report"], "image 1 has no file_name; leave --images out"),
        (["--images", "."], "--images is for --report only"),
    ],
)
def test_images_of_a_report_that_cannot_be_had(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["eval", *write_files(tmp_path), *words]) == 2
    assert message in error_line(capsys)


def test_data_name_their_images_themselves(
    weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "--weights", weights, "--report", "--images", str(tmp_path)]) == 2
    assert "--images is for --detections only" in error_line(capsys)


ALL: Mapping[str, str] = {
    "--weights": "w.safetensors",
    "--detections": "found.json",
    "--annotations": "truth.json",
}


@pytest.mark.parametrize(
    "given",
    [
        ["--detections"],
        ["--annotations"],
        ["--weights", "--detections"],
        ["--weights", "--annotations"],
        ["--weights", "--detections", "--annotations"],
    ],
)
def test_wants_weights_or_both_files(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", *(word for name in given for word in (name, ALL[name]))]) == 2
    assert error_line(capsys) == (
        "ssdlite eval: error: give either --weights, or both --detections and --annotations"
    )


@pytest.mark.parametrize("words", [["data.val.seed=1"], ["--config", "quickstart"], ["--tiles=2"]])
def test_a_configuration_does_nothing_for_detections_so_it_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["eval", *write_files(tmp_path), *words]) == 2
    assert "are for --weights, not for --detections" in error_line(capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.val.sede=1"], "data.val.sede is not a key; did you mean data.val.seed?"),
        (["data.val=null"], "data.val is missing"),
        (["--device=cuda:99"], "device cuda:99 cannot be used"),
        (["--config", "nowhere.yaml"], "configuration nowhere.yaml does not exist"),
        (["--weights", "nowhere.safetensors"], "weights nowhere.safetensors do not exist"),
    ],
)
def test_a_users_error_is_one_line(
    weights: str, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["eval", "--weights", weights, *words]) == 2
    assert message in error_line(capsys)


def test_a_section_of_the_network_is_not_ignored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "--data", str(tmp_path), "model={image_size: 192}"]) == 2
    assert "only model.postprocess can be changed" in error_line(capsys)


@pytest.mark.slow
def test_post_processing_can_be_changed_and_the_network_cannot(
    weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = evaluate(tmp_path / "a", "--weights", weights)
    word = "model.postprocess.max_detections=1"
    fewer = evaluate(tmp_path / "b", "--weights", weights, word)
    assert fewer["coco"]["AR100"] < usual["coco"]["AR100"]
    assert main(["eval", "--weights", weights, "model.width_mult=0.5"]) == 2
    assert "only model.postprocess can be changed" in capsys.readouterr().err


@pytest.mark.slow
def test_paths_of_another_machine_are_no_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what an override names is taken of the data that shipped weights were trained with."""
    monkeypatch.chdir(tmp_path)
    assert main(["eval", "--weights", "voc"]) == 2
    assert (
        "data.val is missing; name the data with --data FOLDER, or 'data.val={format: voc, root:"
        " VOC2007, split: val}'"
    ) in error_line(capsys)
    assert main(["eval", "--weights", "voc", "data.val.split=val"]) == 2
    assert "root is missing" in error_line(capsys)
    assert main(["eval", "--weights", "voc", "data.val.root=elsewhere"]) == 2
    assert "elsewhere has no ImageSets/Main/val.txt" in error_line(capsys)
