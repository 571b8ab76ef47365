"""``ssdlite convert`` and ``ssdlite info``: a round trip, and errors of one line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from tests.convert import original_layouts as original
from tests.convert.test_tensorflow_js import constants, graph_model
from tests.reference_model import randomise
from vision.cli.main import main
from vision.media import write_image
from vision.weights import load_weights, start_from


@pytest.fixture
def mmdetection(tmp_path: Path) -> Path:
    theirs = original.Mmdetection(2)
    randomise(theirs)
    torch.save({"meta": {}, "state_dict": theirs.state_dict()}, tmp_path / "epoch_120.pth")
    (tmp_path / "labels.txt").write_text("BACKGROUND\ncat\ndog\n", encoding="utf-8")
    return tmp_path / "epoch_120.pth"


def run_convert(source: str, file: Path | str, out: Path, *more: str) -> int:
    return main(["convert", source, str(file), "--out", str(out), *more])


def error_line(captured: pytest.CaptureFixture[str]) -> str:
    error = captured.readouterr().err.strip()
    assert error.startswith("ssdlite convert: error:")
    assert "\n" not in error
    return error


@pytest.mark.slow
def test_convert_then_info_then_detect(
    mmdetection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "w.safetensors"
    labels = str(mmdetection.with_name("labels.txt"))
    assert run_convert("mmdetection", mmdetection, out, "--labels", labels) == 0
    assert "a detector of 2 classes" in capsys.readouterr().out
    assert main(["info", str(out)]) == 0
    said = capsys.readouterr().out.partition("next:")[0]
    lines = dict(line.split(maxsplit=1) for line in said.splitlines())
    assert lines["network"].endswith("preset mmdetection")
    assert lines["classes"] == "2: cat, dog"
    assert lines["priors"].startswith("3,234,")
    assert lines["source"] == "mmdetection"
    assert lines["file"] == "epoch_120.pth"
    assert "Apache-2.0" in lines["licence"]
    write_image(tmp_path / "photo.png", np.full((120, 160, 3), 90, np.uint8))
    found = tmp_path / "found"
    photo = str(tmp_path / "photo.png")
    assert main(["detect", photo, "--weights", str(out), "--out", str(found)]) == 0
    results = json.loads((found / "detections.json").read_text(encoding="utf-8"))
    assert len(results["images"]) == 1


def test_info_counts_parameters_and_macs_of_the_known_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(original.Qfgaohao(20).state_dict(), tmp_path / "w.pth")
    assert run_convert("qfgaohao", tmp_path / "w.pth", tmp_path / "w.safetensors") == 0
    capsys.readouterr()
    assert main(["info", str(tmp_path / "w.safetensors")]) == 0
    text = capsys.readouterr().out
    assert "3,388,228" in text
    assert "20: aeroplane, bicycle" in text
    assert "3,000, maps of 19x19, 10x10, 5x5, 3x3, 2x2, 1x1" in text


def test_a_backbone_is_said_to_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(torchvision.models.mobilenet_v2().state_dict(), tmp_path / "w.pth")
    out = tmp_path / "backbone.safetensors"
    assert run_convert("torchvision", tmp_path / "w.pth", out) == 0
    assert "model.init=" in capsys.readouterr().out
    assert main(["info", str(out)]) == 0
    assert "a backbone without heads" in capsys.readouterr().out
    write_image(tmp_path / "photo.png", np.full((120, 160, 3), 90, np.uint8))
    assert main(["detect", str(tmp_path / "photo.png"), "--weights", str(out)]) == 2
    assert "model.init" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["tensorflow", "torchvision", "qfgaohao", "lufficc"])
def test_another_source_is_one_line(
    source: str, mmdetection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_convert(source, mmdetection, tmp_path / "w.safetensors") == 2
    assert "epoch_120.pth" in error_line(capsys)
    assert not (tmp_path / "w.safetensors").exists()


def test_truncated_missing_and_unsafe_files_are_one_line(
    mmdetection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "w.safetensors"
    mmdetection.write_bytes(mmdetection.read_bytes()[:-1000])
    torch.save({"state_dict": nn.Linear(1, 1)}, tmp_path / "code.pth")
    for file, message in (
        (mmdetection, "damaged"),
        (tmp_path / "none.pth", "No such file"),
        (tmp_path / "code.pth", "run code"),
    ):
        assert run_convert("mmdetection", file, out) == 2
        assert message in error_line(capsys)
    assert not out.exists()


@pytest.mark.parametrize(
    "out", ["labels.txt/w.safetensors", "labels.txt/a/w.safetensors", "x" * 300]
)
def test_an_out_that_cannot_be_is_one_line(
    mmdetection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    assert run_convert("mmdetection", mmdetection, tmp_path / out) == 2
    assert "cannot be used" in error_line(capsys)


@pytest.mark.parametrize(
    ("source", "file", "message"),
    [
        ("tensorflow", ".", "is not a frozen graph"),
        ("qfgaohao", ".", "Is a directory"),
        ("torchvision", "IMAGENET1K_V3", "IMAGENET1K_V1, IMAGENET1K_V2"),
    ],
)
def test_a_file_that_is_none_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, file: str, message: str
) -> None:
    assert run_convert(source, file, tmp_path / "w.safetensors") == 2
    assert message in error_line(capsys)


def test_never_overwrites(
    mmdetection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "w.safetensors"
    out.write_bytes(b"mine")
    assert run_convert("mmdetection", mmdetection, out) == 2
    assert "exists" in error_line(capsys)
    assert out.read_bytes() == b"mine"


@pytest.mark.slow
def test_folded_norms_are_told_and_refitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = graph_model(tmp_path, constants())
    (tmp_path / "labels.txt").write_text("cat\ndog\n", encoding="utf-8")
    more = ["--labels", str(tmp_path / "labels.txt")]
    folded, refitted = tmp_path / "folded.safetensors", tmp_path / "refitted.safetensors"
    assert run_convert("tensorflow", model, folded, *more) == 0
    assert "to train from it, convert it with --images" in capsys.readouterr().out
    photos = tmp_path / "photos"
    photos.mkdir()
    pictures = [
        np.random.default_rng(seed).integers(0, 256, (300, 300, 3), np.uint8) for seed in range(6)
    ]
    for number, pixels in enumerate(pictures):
        write_image(photos / f"{number}.png", pixels)
    assert run_convert("tensorflow", model, refitted, *more, "--images", str(photos)) == 2
    assert "6 images; at least 100 are needed" in error_line(capsys)
    monkeypatch.setattr("vision.cli.convert.MIN_REFITTED", 4)
    monkeypatch.setattr("vision.cli.convert.NUM_REFITTED", 4)
    assert run_convert("tensorflow", model, refitted, *more, "--images", str(photos)) == 0
    assert "norms: refitted on 4 images" in capsys.readouterr().out
    before, after = load_weights(folded).model, load_weights(refitted).model
    images = torch.from_numpy(np.stack([pictures[k] for k in (0, 1, 3, 4)])).permute(0, 3, 1, 2)
    with torch.no_grad():
        torch.testing.assert_close(after(images), before(images), rtol=1e-3, atol=1e-3)
        maps = before.backbone.get_submodule("features.0.0")(images.float() / 127.5 - 1)
    mean = after.state_dict()["backbone.features.0.1.running_mean"]
    torch.testing.assert_close(mean, maps.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
    lines = [
        "\n".join(start_from(before, load_weights(w), ["cat", "dog"], str(w)).lines)
        for w in (folded, refitted)
    ]
    assert "BatchNorms are folded" in lines[0]
    assert "BatchNorms are folded" not in lines[1]
    mean_of_both = tmp_path / "mean.safetensors"
    assert main(["average", str(refitted), str(folded), "--out", str(mean_of_both)]) == 2
    assert "the BatchNorms of one are folded" in capsys.readouterr().err


def test_intact_norms_are_left_alone(
    mmdetection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(torchvision.models.mobilenet_v2(weights=None).state_dict(), tmp_path / "w.pth")
    out = tmp_path / "new.safetensors"
    assert run_convert("torchvision", tmp_path / "w.pth", out, "--images", str(tmp_path)) == 2
    assert "leave out --images, --half and --note" in error_line(capsys)
    words = ("--labels", str(mmdetection.with_name("labels.txt")), "--images", str(tmp_path))
    assert run_convert("mmdetection", mmdetection, out, *words) == 2
    assert "has its BatchNorm layers intact: leave out --images" in error_line(capsys)
    assert not out.exists()
