"""Which file is meant by a name that does not exist."""

from pathlib import Path

import pytest

from vision.config import load_config
from vision.errors import VisionError
from vision.files import similar_file
from vision.formats.layout import find_layout
from vision.media import find_inputs
from vision.weights import find_weights


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a photograph, a configuration and a run folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "birds").mkdir(parents=True)
    for name in ("photo.jpg", "Garden.JPG", "birds.yaml", "runs/birds/best.safetensors"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("phtoo.jpg", "photo.jpg"),
        ("garden.jpg", "Garden.JPG"),
        ("runs/brids", "runs/birds"),
        ("rusn/birds", "runs"),
        ("photo.png", "photo.jpg"),
        ("notes.txt", None),
        ("runs_/birds", "runs"),
        ("x.jpg", None),
        ("photo.jpg", None),
        ("x" * 5000, None),
        ("nul\0.jpg", None),
    ],
)
def test_a_name_spelt_alike_is_found(folder: Path, name: str, meant: str | None) -> None:
    assert similar_file(name) == (f"; did you mean {meant}?" if meant else "")
    meant = meant and str(folder / meant)
    assert similar_file(folder / name) == (f"; did you mean {meant}?" if meant else "")


def test_all_that_users_name_gets_a_suggestion(folder: Path) -> None:
    for call, meant in (
        (lambda: find_inputs(["phtoo.jpg"]), "photo.jpg"),
        (lambda: find_weights("runs/brids"), "runs/birds"),
        (lambda: find_weights("runs"), "runs/birds[?]"),
        (lambda: find_weights("cocoo"), "coco"),
        (lambda: load_config("birsd.yaml"), "birds.yaml"),
        (lambda: load_config("finetun"), "finetune"),
        (lambda: find_layout("run"), "runs"),
    ):
        with pytest.raises(VisionError, match=f"; did you mean {meant}") as caught:
            call()
        assert "exist" in str(caught.value)
