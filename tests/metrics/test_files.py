"""Files in COCO's formats: what is read, and each refusal."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from vision.errors import DataError
from vision.formats import json_file
from vision.metrics import evaluate_detections, read_coco_results

TRUTH: dict[str, Any] = {
    "images": [{"id": 7, "width": 640, "height": 480}, {"id": 3}, {"id": 9}],
    "categories": [{"id": 90, "name": "zebra"}, {"id": 18, "name": "dog"}],
    "annotations": [
        {"image_id": 9, "category_id": 18, "bbox": [0, 0, 10, 20], "area": 150.0},
        {"image_id": 7, "category_id": 90, "bbox": [5, 5, 10, 10], "iscrowd": 1},
        {"image_id": 9, "category_id": 18, "bbox": [1, 1, 2, 2], "difficult": 1, "area": None},
        {"image_id": 9, "category_id": 90, "bbox": [1, 1, 3, 3], "ignore": True, "iscrowd": 0},
    ],
}
FOUND: list[dict[str, Any]] = [
    {"image_id": 9, "category_id": 18, "bbox": [0, 0, 10, 10], "score": 0.25},
    {"image_id": 9, "category_id": 90, "bbox": [1, 2, 3, 4], "score": 0.5},
    {"image_id": 7, "category_id": 90, "bbox": [5, 5, 10, 10], "score": 0.125},
    {"image_id": 9, "category_id": 90, "bbox": [2, 2, 3, 4], "score": 0.5},
]


@pytest.fixture(autouse=True, params=[1, 2**23])
def part_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Detections are read one by one, and all at once."""
    monkeypatch.setattr(json_file, "PART_BYTES", request.param)


def write(folder: Path, truth: object, found: object) -> tuple[Path, Path]:
    paths = folder / "truth.json", folder / "found.json"
    for path, value in zip(paths, (truth, found), strict=True):
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return paths


def test_reads_images_and_categories(tmp_path: Path) -> None:
    found, truth, names = read_coco_results(*write(tmp_path, TRUTH, FOUND))
    assert names == ["dog", "zebra"]
    assert [one.image_id for one in truth] == [3, 7, 9]
    assert [one.size for one in truth] == [(0, 0), (480, 640), (0, 0)]
    assert [one.size for one in found] == [None, (480, 640), None]
    assert [len(one) for one in truth] == [0, 1, 3]
    assert [len(one) for one in found] == [0, 1, 3]


def test_reads_boxes(tmp_path: Path) -> None:
    found, truth, _ = read_coco_results(*write(tmp_path, TRUTH, FOUND))
    assert truth[1].boxes.tolist() == [[5, 5, 15, 15]]
    assert (truth[1].ignore.tolist(), truth[1].crowd.tolist()) == ([True], [True])
    assert truth[2].labels.tolist() == [0, 0, 1]
    assert truth[2].ignore.tolist() == [False, True, True]
    assert truth[2].crowd.tolist() == [False] * 3
    assert truth[2].areas.tolist() == [150, 4, 9]
    # By falling score, equal ones in the file's order.
    assert found[2].scores.tolist() == [0.5, 0.5, 0.25]
    assert found[2].boxes.tolist() == [[1, 2, 4, 6], [2, 2, 5, 6], [0, 0, 10, 10]]
    assert found[2].labels.tolist() == [1, 1, 0]


def test_scores_that_differ_too_little_for_float32_keep_their_order(tmp_path: Path) -> None:
    scores = [0.5, 0.5 + 1e-12, 0.5 + 2e-12]
    rows = [{**FOUND[0], "bbox": [index, 0, 1, 1], "score": s} for index, s in enumerate(scores)]
    found, _, _ = read_coco_results(*write(tmp_path, TRUTH, rows))
    assert found[2].boxes[:, 0].tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param('a "quoted}, {text" \\\\', id="a text that looks like the end of an object"),
        pytest.param([{"a": 1}, {"b": [{}, {}]}], id="objects inside an object"),
        pytest.param("\u20ac\ud83d", id="half a surrogate pair"),
        pytest.param(None, id="null"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("indent", [None, 1])
def test_reads_any_json(tmp_path: Path, extra: object, encoding: str, indent: int | None) -> None:
    rows = [{**row, "extra": extra} for row in FOUND]
    truth, found = write(tmp_path, TRUTH, [])
    found.write_text(json.dumps(rows, indent=indent, ensure_ascii=True), encoding=encoding)
    tables, _, _ = read_coco_results(truth, found)
    assert [one.scores.tolist() for one in tables] == [[], [0.125], [0.5, 0.5, 0.25]]


@pytest.mark.parametrize("broken", ["[{}, {}", "[{},]", "[{}, {}]]", "[{}} , {{}]", "[,]"])
def test_refuses_broken_lists(tmp_path: Path, broken: str) -> None:
    text = broken.replace("{}", json.dumps(FOUND[0]))
    with pytest.raises(DataError, match=r"found\.json: expected a list of .* found invalid JSON"):
        read_coco_results(*write(tmp_path, TRUTH, text))


@pytest.mark.parametrize("empty", ["images", "annotations", "found"])
def test_reads_empty_lists(tmp_path: Path, empty: str) -> None:
    truth = {**TRUTH, "annotations": []} if empty != "found" else TRUTH
    truth = {**truth, "images": []} if empty == "images" else truth
    found, targets, names = read_coco_results(*write(tmp_path, truth, []))
    assert len(found) == len(targets) == len(truth["images"])
    average_precision = evaluate_detections(found, targets, names).coco.AP
    assert average_precision == (0.0 if empty == "found" else None)


def changed(rows: list[dict[str, Any]], index: int, **values: object) -> list[dict[str, Any]]:
    """A copy with values set in one record, or removed where they are ``...``."""
    rows = copy.deepcopy(rows)
    rows[index].update(values)
    rows[index] = {key: value for key, value in rows[index].items() if value is not ...}
    return rows


def truth_with(table: str, index: int, **values: object) -> dict[str, Any]:
    return {**TRUTH, table: changed(TRUTH[table], index, **values)}


MASKS = [{"image_id": 9, "category_id": 18, "segmentation": {"counts": "x"}, "score": 1}]
BOX = r"expected \[x, y, width, height\], finite and not of negative size, found "


@pytest.mark.parametrize(
    ("truth", "found", "message"),
    [
        ("{", FOUND, r"truth\.json: expected an object with images.* found invalid JSON"),
        (TRUTH, "[" * 100_000, r"found\.json: expected a list of .* found invalid JSON"),
        ([], FOUND, r"truth\.json: expected an object .* found a list; check that .* swapped"),
        (TRUTH, TRUTH, r"found\.json: expected a list .* found an object with images, cat.*swap"),
        (TRUTH, "3", r"found\.json: expected a list .* found 3;"),
        ({"images": []}, FOUND, r"truth\.json.*found an object .* \(without annotations, categ"),
        ({**TRUTH, "images": 1}, FOUND, r"truth\.json: images: expected a list, found 1"),
        (truth_with("images", 1, id=...), FOUND, r"images\[1\]: expected an object with id"),
        (truth_with("categories", 1, name=...), FOUND, r"categories\[1\].*\(without name\)"),
        (truth_with("annotations", 1, bbox=...), FOUND, r"annotations\[1\].*\(without bbox\)"),
        ({**TRUTH, "annotations": [4]}, FOUND, r"annotations\[0\]: expected an obj.* found 4"),
        (TRUTH, changed(FOUND, 2, score=...), r"found\.json: detections\[2\].*\(without score\)"),
        (TRUTH, MASKS, r"found\.json: detections are masks .*; write each mask's bbox"),
        (
            truth_with("images", 1, id=7),
            FOUND,
            r"images: expected each id once, found duplicates of 7;",
        ),
        (
            truth_with("categories", 1, id=90),
            FOUND,
            r"categories: expected each id once.* 90 \('zebra', 'dog'\);",
        ),
        (truth_with("categories", 1, name="zebra"), FOUND, r"expected each name once.*'zebra';"),
        (truth_with("images", 1, id=[1]), FOUND, r"images: expected each id to be int or str"),
        (truth_with("categories", 1, id="a"), FOUND, r"expected each id to be int, found 'a'"),
        (
            truth_with("annotations", 0, image_id=8),
            FOUND,
            r"truth\.json: annotations: .* image_id .*'s 3 \(3, 7, 9\), found 8 in 1 of 4 records;",
        ),
        (truth_with("annotations", 0, category_id=1), FOUND, r"category_id .*found 1 in 1 of 4"),
        (TRUTH, changed(FOUND, 0, image_id="8"), r"detections: .*image_id .*found '8' in 1 of 4"),
        (TRUTH, changed(FOUND, 0, image_id=[9]), r"image_id .*found \[9\] in 1 of 4"),
        (
            TRUTH,
            [{**FOUND[0], "category_id": number} for number in (1, 2, 1, 3, 4, 5)],
            r"category_id .* \(18, 90\), found 1, 2, 3 and 2 more in 6 of 6 records",
        ),
        (TRUTH, changed(FOUND, 1, bbox=[1, 2, 3]), r"detections\[1\]\.bbox: " + BOX),
        (TRUTH, changed(FOUND, 1, bbox=[1, 2, -3, 4]), BOX + r"\[1, 2, -3, 4\]"),
        (TRUTH, changed(FOUND, 1, bbox=[1, 2, "3", 4]), BOX),
        (TRUTH, changed(FOUND, 1, bbox={"x": 1}), BOX),
        (TRUTH, changed(FOUND, 1, bbox=[1, 2, float("nan"), 4]), BOX),
        (TRUTH, changed(FOUND, 1, bbox=[1, 2, 10**400, 4]), BOX),
        (
            truth_with("annotations", 1, bbox=[1, 2, float("inf"), 4]),
            FOUND,
            r"annotations\[1\]\.bbox: " + BOX,
        ),
        (
            TRUTH,
            [{**row, "bbox": []} for row in FOUND],
            r"found \[\] \(and 3 more of 4\)",
        ),
        (TRUTH, changed(FOUND, 3, score=float("nan")), r"\[3\]\.score: expected a finite number"),
        (TRUTH, changed(FOUND, 3, score=None), r"score: expected a finite number, found None"),
        (TRUTH, changed(FOUND, 3, score=True), r"score: expected a finite number, found True"),
        (truth_with("annotations", 0, area="big"), FOUND, r"area: expected a finite number"),
        (truth_with("annotations", 0, iscrowd="0"), FOUND, r"iscrowd: expected 0 or 1, found '0'"),
        (truth_with("images", 0, width="w"), FOUND, r"images\[0\]\.width: expected a finite"),
    ],
)
def test_refuses(tmp_path: Path, truth: object, found: object, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_coco_results(*write(tmp_path, truth, found))
    assert "\n" not in str(caught.value)


def test_refuses_what_cannot_be_read(tmp_path: Path) -> None:
    truth, found = write(tmp_path, TRUTH, FOUND)
    with pytest.raises(DataError, match=r"absent\.json: cannot be read: No such file"):
        read_coco_results(truth, tmp_path / "absent.json")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_coco_results(tmp_path, found)
    found.write_bytes(b"[\xff]")
    with pytest.raises(DataError, match="found a file that is not text"):
        read_coco_results(truth, found)
