"""``ssdlite detect``: what it writes, and what it must not."""

import json
from pathlib import Path

import numpy as np
import pytest

from vision.cli.main import main
from vision.config import Config, ModelConfig
from vision.media import write_image
from vision.model import build_model
from vision.model.weights import save_weights


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    config = Config(model=ModelConfig(image_size=(128, 128), width_mult=0.25))
    path = tmp_path / "w.safetensors"
    save_weights(path, build_model(config.model, 2), config, ["cat", "traffic light"], {})
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png"):
        write_image(tmp_path / "photos" / name, np.full((40, 60, 3), 90, np.uint8))
    return tmp_path / "photos"


def test_writes_pictures_and_detections(weights: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["detect", str(photos), "--weights", str(weights), "--out", str(out)]) == 0
    entries = json.loads((out / "detections.json").read_text(encoding="utf-8"))
    assert [Path(entry["image"]).name for entry in entries] == ["a.png", "b.png"]
    assert all(entry["size"] == [40, 60] for entry in entries)
    assert {path.name for path in out.rglob("*.png")} == {"a.png", "b.png"}


def test_never_overwrites_an_input(
    weights: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (photos / "a.png").read_bytes()
    inputs = [str(photos / "a.png"), str(photos / "b.png")]
    assert main(["detect", *inputs, "--weights", str(weights), "--out", str(photos)]) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert (photos / "a.png").read_bytes() == before


def test_a_corrupt_image_is_named_and_the_rest_goes_on(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "a.png").write_bytes(b"not an image")
    out = tmp_path / "out"
    assert main(["detect", str(photos), "--weights", str(weights), "--out", str(out)]) == 2
    assert "a.png" in capsys.readouterr().err
    assert len(json.loads((out / "detections.json").read_text(encoding="utf-8"))) == 1


def test_missing_weights_are_one_line(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["detect", str(photos), "--weights", str(tmp_path / "no.safetensors")]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("ssdlite detect: error:")
    assert "\n" not in error
