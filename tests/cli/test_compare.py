"""``ssdlite compare``: what it tells of two detectors, on which data, and its refusals."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import vision.cli.compare
from tests.cli.test_eval import FOUND, TRUTH, voc_of
from tests.cli.test_train import error_line
from tests.formats.builders import picture
from tests.runs import scenes
from vision.cli.main import main
from vision.media import write_image
from vision.metrics.comparison import compare_detections


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    few = partial(compare_detections, draws=60)
    monkeypatch.setattr(vision.cli.compare, "compare_detections", few)


def compare(capsys: pytest.CaptureFixture[str], out: Path, *words: object) -> list[str]:
    """What the command prints, whose last line names the page."""
    assert main(["compare", *map(str, words), "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"the page is {out / 'compare.html'}" in lines
    assert (out / "compare.html").read_text(encoding="utf-8").endswith("</html>")
    return lines


def numbers(lines: list[str], metric: str) -> list[float]:
    """A, B, their difference and the ends of its interval."""
    (row,) = (line for line in lines if line.startswith(f"{metric} "))
    return [float(word) for word in row.split()[1:] if word != "to"]


def write_files(folder: Path) -> list[Path]:
    """A file of annotations, and two of detections: the second has no wrong one."""
    contents = {"truth": TRUTH, "first": FOUND, "second": FOUND[:1]}
    paths = []
    for name, content in contents.items():
        paths.append(folder / f"{name}.json")
        paths[-1].write_text(json.dumps(content), encoding="utf-8")
    return paths


def spoil(weights: Path, out: Path) -> Path:
    """A copy of a weights file with noise on its convolutions."""
    with safe_open(weights, "pt") as file:
        metadata = file.metadata()
    random, tensors = torch.Generator().manual_seed(0), load_file(weights)
    for key, value in tensors.items():
        if value.ndim == 4 and value.numel() > 1:
            noise = torch.randn(value.shape, generator=random)
            tensors[key] = value + value.std() * noise
    save_file(tensors, out, metadata)
    return out


@pytest.mark.slow
def test_a_detector_does_not_differ_from_itself(
    learnt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = compare(capsys, tmp_path, learnt, learnt / "best.safetensors")
    for metric in ("voc.mAP50", "coco.AP"):
        first, second, *rest = numbers(lines, metric)
        assert first == second > 0.3
        assert rest == [0, 0, 0]
    assert any(line.startswith("There is no clear difference on 8 images") for line in lines)
    assert lines[:3] == [f"A  {learnt}", f"B  {learnt / 'best.safetensors'}", "on synthetic images"]
    assert "8 images, " in lines[4]


def test_spoilt_weights_are_worse(
    learnt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = spoil(learnt / "best.safetensors", tmp_path / "bad.safetensors")
    lines = compare(capsys, tmp_path / "out", bad, learnt)
    for metric in ("voc.mAP50", "coco.AP"):
        first, second, change, low, high = numbers(lines, metric)
        assert change == pytest.approx(second - first, abs=0.0011)
        assert 0 < low <= change <= high
    assert any(line.startswith("B is better by ") and "coco.AP" in line for line in lines)


def test_files_of_detections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, first, second = write_files(tmp_path)
    (tmp_path / "images").mkdir()
    write_image(tmp_path / "images" / "a.jpg", picture(100, 100))
    truth.write_text(
        json.dumps(TRUTH).replace('{"id": 1, "width"', '{"id": 1, "file_name": "a.jpg", "width"'),
        encoding="utf-8",
    )
    words = (first, second, "--annotations", truth)
    lines = compare(capsys, tmp_path / "out", *words, "--images", tmp_path / "images")
    assert numbers(lines, "coco.AP")[:3] == [0.5, 0.5, 0]
    assert "1 image, 2 boxes of 2 classes" in lines
    assert any(line.split() == ["1", "2", "1", "-1"] for line in lines)
    assert (tmp_path / "out" / "compare.html").read_text(encoding="utf-8").count("<img") == 2
    assert main(["compare", *map(str, words), "--out", str(tmp_path / "out")]) == 2
    assert error_line(capsys).endswith("exists; name another --out, or pass --overwrite")


def test_classes_that_are_not_shared_are_left_out_and_named(
    learnt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    val = voc_of(tmp_path / "voc", "walrus", "circle")
    lines = compare(capsys, tmp_path / "out", learnt, learnt, val)
    assert "left out, in the data alone: walrus" in lines
    assert "1 image, 1 box of 1 class" in lines
    assert main(["compare", str(learnt), "coco", val, "--out", str(tmp_path / "none")]) == 2
    assert "the detectors share no class: one knows circle, " in error_line(capsys)
    assert not (tmp_path / "none").exists()
    words = [str(learnt), str(learnt), val, "data.classes=[circle, circel]"]
    assert main(["compare", *words, "--out", str(tmp_path / "none")]) == 2
    expected = "data.classes names circel, which neither detector nor the data know; did you mean"
    assert f"{expected} circle?" in error_line(capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.json", "b.json"], "--annotations is missing"),
        (["a.json", "coco"], "a.json holds detections and the other is a detector"),
        (["a.json", "b.json", "--annotations", "c.json", "data.val=null"], "are for detectors"),
        (["coco", "coco", "--annotations", "c.json"], "name the data with --data"),
        (["coco", "coco"], "data.val is missing; name the data with --data FOLDER"),
        (["coco", "nowhere.pt"], "weights nowhere.pt do not exist"),
    ],
)
def test_a_users_error_is_one_line(
    words: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *words]) == 2
    assert message in error_line(capsys)
    assert not list(tmp_path.iterdir())


def test_runs_of_different_data_are_not_compared_unless_the_data_are_named(
    learnt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(learnt, other)
    config = (other / "config.yaml").read_text(encoding="utf-8")
    (other / "config.yaml").write_text(
        config.replace("num_images: 8", "num_images: 3"), encoding="utf-8"
    )
    words = ["compare", str(learnt), str(other), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "have different validation data" in error_line(capsys)
    lines = compare(capsys, tmp_path / "out", learnt, other, f"data.val={scenes(4)}")
    assert any(line.startswith("4 images, ") for line in lines)
