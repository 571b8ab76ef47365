"""What names in data and weights do to a terminal and to spreadsheets: nothing."""

import csv
import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.formats.builders import write_coco
from vision.cli.main import main
from vision.cli.printing import as_message
from vision.cli.terminal import Formatter
from vision.config import Config, ModelConfig
from vision.detection import CocoIds
from vision.detection.results import write_results
from vision.media import write_image
from vision.metrics import evaluate_detections
from vision.model import build_model
from vision.weights import save_weights

EVIL = "\x1b]0;PWN\x07\x1b[2J\nssdlite: all is well\u202e\x9b"
ESCAPED = r"\x1b]0;PWN\x07\x1b[2J\nssdlite: all is well\u202e\x9b"


def weights_file(folder: Path, names: list[str], training: dict[str, Any]) -> Path:
    config = Config(model=ModelConfig(image_size=(128, 128), width_mult=0.25))
    path = folder / "w.safetensors"
    save_weights(path, build_model(config.model, len(names)), config, names, training)
    return path


def test_info_escapes_names_and_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(weights_file(tmp_path, ["cat", EVIL], {EVIL: EVIL}))]) == 0
    said = capsys.readouterr().out
    assert f"2: cat, {ESCAPED}\n" in said
    assert f"\n{ESCAPED} {ESCAPED}\n" in said


@pytest.mark.parametrize("metrics", [5, {}, "x", [], {"voc": 5}, {"voc": {"mAP50": "x"}}])
def test_info_of_metrics_that_another_program_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], metrics: object
) -> None:
    assert main(["info", str(weights_file(tmp_path, ["cat"], {"metrics": metrics}))]) == 0
    said = capsys.readouterr().out
    expected = "on val         voc.mAP50 unreadable, coco.AP unreadable\n"
    assert (expected in said) == bool(metrics)


def test_notes_that_are_no_numbers_are_null_in_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = weights_file(tmp_path, ["cat"], {"loss": {"best": math.nan, "last": -math.inf}})
    assert main(["info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["training"] == {"loss": {"best": None, "last": None}}


@pytest.mark.parametrize("thresholds", [5, "x", [1], {"cat": "x"}])
def test_thresholds_that_another_program_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], thresholds: object
) -> None:
    path = weights_file(tmp_path, ["cat"], {"thresholds": thresholds})
    write_image(tmp_path / "a.png", np.zeros((20, 20, 3), np.uint8))
    words = [
        "detect",
        str(tmp_path / "a.png"),
        "--weights",
        str(path),
        "--out",
        str(tmp_path / "o"),
    ]
    assert main([*words, "--score=best"]) == 2
    assert "best thresholds are not numbers by class" in capsys.readouterr().err


def test_the_table_of_classes_has_a_line_each() -> None:
    table = evaluate_detections([], [], ["cat", EVIL]).table()
    assert ESCAPED in table
    assert not set(table) & set("\x1b\x07\x9b\u202e")


def test_errors_and_the_log_are_harmless(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": EVIL}, {"id": 2, "name": EVIL}],
        "annotations": [],
    }
    root = write_coco(tmp_path / "coco", content)
    (root / "annotations/instances_train.json").rename(root / f"annotations/x{EVIL[:8]}.json")
    source = {
        "format": "coco",
        "annotations": str(root / f"annotations/x{EVIL[:8]}.json"),
        "images": str(root / "train"),
    }
    assert main(["train", "--config=finetune", f"data.train={json.dumps(source)}"]) == 2
    said = capsys.readouterr()
    assert r"x\x1b]0;PWN" in said.err
    assert "\x1b" not in said.err + said.out
    assert said.err.count("\n") == 1
    record = logging.makeLogRecord({"msg": "image %s", "args": (EVIL,)})
    assert Formatter().format(record) == "image " + ESCAPED.replace(r"\n", "\n  ")
    assert as_message("2 errors:\n  a\n  b") == "2 errors:\n  a\n  b"


def test_a_spreadsheet_computes_nothing(tmp_path: Path) -> None:
    names = ['=HYPERLINK("http://evil/8","x")', "@cat", "-1", "+1", "\ttab", "\rreturn", "cat"]
    path, out = weights_file(tmp_path, names, {}), tmp_path / "out"
    write_image(tmp_path / "=cmd|' C calc'!A0.png", np.zeros((20, 20, 3), np.uint8))
    words = ["detect", "*.png", "--weights", str(path), "--out", str(out), "--save=csv"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert main([*words, "--score=0.1", "--max=300"]) == 0
    with (out / "detections.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == {*(f"'{name}" for name in names[:-1]), "cat"}
    assert {row["image"] for row in rows} == {"'=cmd|' C calc'!A0.png"}


def test_a_class_name_with_half_a_surrogate_pair_can_be_written(tmp_path: Path) -> None:
    entry: Any = {
        "image": "a",
        "size": [1, 1],
        "detections": [{"label": "\ud800", "score": 0.5, "box": [0.0, 0.0, 1.0, 1.0]}],
    }
    write_results(tmp_path / "a.csv", "csv", [entry], CocoIds(["\ud800"]))
    assert r"\ud800" in (tmp_path / "a.csv").read_text("utf-8")
