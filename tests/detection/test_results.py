"""The form of the result files: their schemas, their page, and files of earlier versions."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from tests.cli.test_detect import detect, photos, weights
from tests.detection.reference import schema_of, text_of
from tests.test_package import ROOT
from vision.detection.parquet import COLUMNS
from vision.detection.schema import SCHEMAS
from vision.media import VideoWriter

__all__ = ["photos", "weights"]

PAGE = (ROOT / "docs/results.md").read_text(encoding="utf-8")
TRUTH = {
    "images": [{"id": 5, "file_name": "a.png"}, {"id": 9, "file_name": "b.png"}],
    "categories": [{"id": 3, "name": "traffic light"}, {"id": 44, "name": "cat"}],
}


def read(path: Path) -> Any:  # noqa: ANN401 - any JSON value
    return json.loads(path.read_text(encoding="utf-8"))


def check(out: Path) -> None:
    for name in SCHEMAS:
        Draft202012Validator(schema_of(name)).validate(read(out / f"{name}.json"))


def fields_of(schema: Any) -> Iterator[str]:  # noqa: ANN401 - any part of a schema
    for key, value in schema.items() if isinstance(schema, dict) else ():
        yield from value if key == "properties" else ()
        yield from fields_of(value)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_in_the_docs_are_those_of_the_package(name: str) -> None:
    shown = ROOT / f"docs/schemas/{name}.schema.json"
    assert shown.read_text(encoding="utf-8") == text_of(name)
    Draft202012Validator.check_schema(schema_of(name))


@pytest.mark.parametrize(
    ("title", "fields"),
    [
        *((f"{name}.json", set(fields_of(schema_of(name)))) for name in SCHEMAS),
        ("detections.csv", set(COLUMNS)),
    ],
)
def test_the_page_has_each_field(title: str, fields: set[str]) -> None:
    (section,) = re.findall(rf"^## `{title}`\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    rows = re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(?:\w+\[\]\.)*(\w+)`", row)} == fields


def test_real_outputs_have_the_form(weights: Path, photos: Path, tmp_path: Path) -> None:
    with VideoWriter(photos / "film.mp4", 10.0) as writer:
        for level in (0, 90):
            writer.write(np.full((48, 64, 3), level, np.uint8))
    out = tmp_path / "out"
    words = ("--save=json,coco,csv", "--score=0.2", "--max=3", "--tiles=auto")
    assert detect(weights, out, photos, *words) == 0
    check(out)
    file = read(out / "detections.json")
    assert file["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "traffic light"}]
    assert (file["failures"], file["skipped"], file["capped"]) == ([], 0, 4)
    assert file["tiles"] == "auto"
    assert [(Path(e["image"]).name, e.get("frame")) for e in file["images"]] == [
        ("a.png", None),
        ("b.png", None),
        ("film.mp4", 0),
        ("film.mp4", 1),
    ]
    assert [e["size"] for e in file["images"]] == [[40, 60]] * 2 + [[48, 64]] * 2
    ids = {"a": 3, "b": 3, "film:0": 3, "film:1": 3}
    coco = [row["image_id"] for row in read(out / "coco_results.json")]
    assert {number: coco.count(number) for number in coco} == ids
    with (out / "detections.csv").open(newline="", encoding="utf-8") as table:
        assert next(csv.reader(table)) == list(COLUMNS)


def test_an_empty_result_has_the_form(weights: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert detect(weights, out, photos, "--save=json,coco", "--score=1") == 0
    check(out)
    assert read(out / "coco_results.json") == []
    (photos / "a.png").write_text("broken")
    (photos / "b.png").rename(photos / "b.txt")
    assert detect(weights, tmp_path / "none", photos, "--save=json,coco") == 1
    check(tmp_path / "none")
    file = read(tmp_path / "none/detections.json")
    assert [file[key] for key in ("images", "skipped", "capped", "others")] == [[], 0, 0, 1]
    (failure,) = file["failures"]
    assert failure.startswith(f"image {photos / 'a.png'}")


def test_categories_have_the_ids_of_the_annotations(
    weights: Path, photos: Path, tmp_path: Path
) -> None:
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps(TRUTH))
    out = tmp_path / "out"
    words = ("--save=json,coco", "--score=0.2", "--annotations", truth)
    assert detect(weights, out, photos, *words) == 0
    check(out)
    file, rows = read(out / "detections.json"), read(out / "coco_results.json")
    assert file["categories"] == [{"id": 44, "name": "cat"}, {"id": 3, "name": "traffic light"}]
    ids = {category["name"]: category["id"] for category in file["categories"]}
    labels = [item["label"] for entry in file["images"] for item in entry["detections"]]
    assert [ids[label] for label in labels] == [row["category_id"] for row in rows]


@pytest.mark.parametrize("kind", ["coco", "csv"])
def test_a_complete_run_without_a_list_of_its_inputs_says_so(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    words = (photos / "a.png", f"--save={kind}", "--score=0.001")
    assert detect(weights, tmp_path / "out", *words) == 0
    capsys.readouterr()
    assert detect(weights, tmp_path / "out", *words, "--resume") == 2
    line = "is complete, but has no detections.json with its inputs; name another --out"
    assert line in capsys.readouterr().err


def test_the_form_of_version_0_1_is_read_by_resume(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A list of the entries, one a line."""
    out, path = tmp_path / "out", tmp_path / "out/detections.json"
    assert detect(weights, out, photos / "a.png", "--save=json") == 0
    entries = read(path)["images"]
    path.write_text("[\n" + ",\n".join(map(json.dumps, entries)) + "\n]\n")
    assert detect(weights, out, photos / "a.png", "--save=json", "--resume") == 0
    assert "nothing is left to do" in capsys.readouterr().out
    assert detect(weights, out, photos / "b.png", "--save=json", "--resume") == 2
    assert f"has no results of {photos / 'b.png'}" in capsys.readouterr().err
    path.write_text("[\n{damaged\n]\n")
    assert detect(weights, out, photos / "a.png", "--save=json", "--resume") == 2
    assert "detections.json is damaged at the line" in capsys.readouterr().err
