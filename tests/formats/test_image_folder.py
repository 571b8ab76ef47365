"""Hugging Face's imagefolder."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.formats.builders import write_image
from vision.errors import DataError
from vision.formats.image_folder import read_image_folder
from vision.formats.layout import find_layout

ROWS: list[object] = [
    {"file_name": "a.png", "objects": {"bbox": [[10, 5, 20, 15]], "categories": ["cat"]}},
    {"file_name": "deep/b.png", "objects": {"bbox": [], "categories": []}},
    {"file_name": "c.png"},
]


def write(folder: Path, rows: list[object] | str = ROWS) -> Path:
    text = rows if isinstance(rows, str) else "".join(f"{json.dumps(row)}\n" for row in rows)
    for name in ("a.png", "deep/b.png", "c.png", "other.png"):
        write_image(folder / name)
    (folder / "metadata.jsonl").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("split", ["val", "validation", None])
def test_reads_boxes_and_names(tmp_path: Path, split: str | None) -> None:
    folder = write(tmp_path / "validation" if split else tmp_path)
    found = read_image_folder(str(tmp_path), split).check()
    paths = [str(folder / name) for name in ("a.png", "deep/b.png", "c.png")]
    assert [record.image_id for record in found.records] == paths
    assert [record.boxes.tolist() for record in found.records] == [[[10, 5, 30, 20]], [], []]
    assert found.names == ["cat"]
    assert found.tally.counts == {"images without a line in metadata.jsonl left out": 1}


@pytest.mark.parametrize("key", ["categories", "category", "labels", "label"])
def test_numbers_stay_numbers_in_their_order(tmp_path: Path, key: str) -> None:
    objects = {"bbox": [[1, 2, 3, 4]] * 3, key: [10, 2, 2.0]}
    found = read_image_folder(str(write(tmp_path, [{"file_name": "a.png", "objects": objects}])))
    assert found.names == ["2", "10"]
    assert found.records[0].names == ("10", "2", "2")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("{", "metadata.jsonl:1: expected a JSON object"),
        ("\n[]", "metadata.jsonl:2[0]: expected an object with file_name"),
        ([{"file_name": 3}], "file_name: expected a string"),
        ([{"file_name": "no.png"}], "no.png cannot be opened"),
        ([{"file_name": "a.png", "objects": []}], "expected objects with bbox and categories"),
        (
            [{"file_name": "a.png", "objects": {"bbox": [[1, 2, 3, 4]], "categories": []}}],
            "metadata.jsonl:1: expected categories and bbox to be lists of the same length",
        ),
        (
            [{"file_name": "a.png", "objects": {"bbox": [[1, 2, 3]], "categories": [1]}}],
            "bbox: expected [x, y, width, height], found [1, 2, 3]",
        ),
        (
            [{"file_name": "a.png", "objects": {"bbox": [[1, 2, 3, 4]], "categories": [None]}}],
            "metadata.jsonl:1: categories[0].name: expected a number or string, found None",
        ),
    ],
)
def test_refusals(tmp_path: Path, rows: list[object] | str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read_image_folder(str(write(tmp_path, rows))).check()
    assert said in str(caught.value)


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=f"^image folder {tmp_path} has none of validation/metadata.js"
    ):
        read_image_folder(str(tmp_path), "val")


@pytest.mark.parametrize("write_objects", [json.dumps, repr], ids=["JSON", "Python"])
def test_metadata_may_be_csv(tmp_path: Path, write_objects: Callable[[object], str]) -> None:
    write(tmp_path)
    (tmp_path / "metadata.jsonl").unlink()
    with (tmp_path / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["file_name", "objects"])
        rows.writerow(["a.png", write_objects({"bbox": [[10, 5, 20, 15]], "categories": ["cat"]})])
        rows.writerow(["c.png", ""])
    assert find_layout(tmp_path).format == "image_folder"
    found = read_image_folder(str(tmp_path)).check()
    assert [record.boxes.tolist() for record in found.records] == [[[10, 5, 30, 20]], []]
    assert found.names == ["cat"]


def test_objects_in_csv_may_have_what_python_writes_otherwise(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    objects = '{""bbox"": [[1, 2, 3, 4]], ""categories"": [""cat""], ""crowd"": [false, null]}'
    (tmp_path / "metadata.csv").write_text(f'file_name,objects\na.png,"{objects}"\n')
    (record,) = read_image_folder(str(tmp_path)).check().records
    assert record.boxes.tolist() == [[1, 2, 4, 6]]


def test_a_name_may_have_what_unicode_calls_a_line_break(tmp_path: Path) -> None:
    row = {"file_name": "a.png", "objects": {"bbox": [[1, 2, 3, 4]], "categories": ["a\u2028b"]}}
    write_image(tmp_path / "a.png")
    text = json.dumps(row, ensure_ascii=False)
    (tmp_path / "metadata.jsonl").write_text(text, encoding="utf-8")
    assert read_image_folder(str(tmp_path)).check().names == ["a\u2028b"]


def test_metadata_in_parquet_is_refused_with_what_helps(tmp_path: Path) -> None:
    (tmp_path / "metadata.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"metadata.jsonl, with pandas"):
        find_layout(tmp_path)


def test_more_columns_than_named_are_left_out(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg")
    (tmp_path / "metadata.csv").write_text("file_name\na.jpg,1,2\n")
    (record,) = read_image_folder(str(tmp_path)).check().records
    assert record.image_id == str(tmp_path / "a.jpg")


def test_objects_over_several_lines_are_one_line_of_a_message(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text('file_name,objects\na.jpg,"{[\n1"\n')
    with pytest.raises(DataError, match="expected objects as JSON") as caught:
        read_image_folder(str(tmp_path))
    assert len(str(caught.value).splitlines()) == 1


def test_a_name_over_several_lines_is_one_line_of_a_message(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text('file_name\n"a\nb.jpg"\n')
    with pytest.raises(DataError, match=r"a\\nb\.jpg cannot be opened") as caught:
        read_image_folder(str(tmp_path)).check()
    assert len(str(caught.value).splitlines()) == 1
