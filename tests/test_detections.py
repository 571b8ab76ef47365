"""`Detections`: rows, names, pictures and tables of them."""

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from jaxtyping import TypeCheckError, UInt8
from numpy import ndarray
from PIL import Image
from pydantic import TypeAdapter
from torch import Tensor

from vision.detection.schema import FORMAT, DetectionsFile
from vision.detections import Detections
from vision.draw import draw_detections
from vision.errors import DataError
from vision.rows import Detection, describe_counts

NAMES = ["cat", "dog", "<b>"]
FOUND = Detections(
    torch.tensor([[1.0, 2, 5, 8], [0, 0, 10, 12], [9.6, 11.7, 10, 12]]),
    torch.tensor([0.75, 0.5, 0.25]),
    torch.tensor([1, 1, 2]),
    (12, 10),
    NAMES,
)
ROWS = [
    Detection(1, "dog", 0.75, (1.0, 2.0, 5.0, 8.0)),
    Detection(1, "dog", 0.5, (0.0, 0.0, 10.0, 12.0)),
    Detection(2, "<b>", 0.25, (np.float32(9.6).item(), np.float32(11.7).item(), 10.0, 12.0)),
]


# Under pytest jaxtyping finds a wrong shape before the class does, with an error of its own.
REFUSED = (ValueError, TypeCheckError)
BOXES = torch.tensor([[0.0, 0.0, 10.0, 10.0], [5.0, 2.0, 9.0, 4.0], [1.0, 1.0, 2.0, 3.0]])
SCORES = torch.tensor([0.9, 0.5, 0.25])
LABELS = torch.tensor([2, 0, 1])


@pytest.fixture
def picture() -> UInt8[ndarray, "h w 3"]:
    return np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)


def test_they_are_a_sequence_of_rows() -> None:
    assert list(FOUND) == ROWS
    for index in (0, 2, -1, -3):
        assert FOUND[index] == ROWS[index]
        numbers: list[Any] = [np.int64(index), torch.tensor(index)]
        assert [FOUND[number] for number in numbers] == [ROWS[index]] * 2
    assert [(row.name, row.box[2]) for row in FOUND] == [("dog", 5), ("dog", 10), ("<b>", 10)]
    for index in (3, -4):
        with pytest.raises(IndexError, match=f"there are 3 detections, none with index {index}"):
            FOUND[index]
    assert list(Detections.empty()) == []


def test_what_is_selected_or_changed_keeps_the_names(picture: UInt8[ndarray, "h w 3"]) -> None:
    found = replace(FOUND, image=picture)
    for part in (found[1:], found[found.labels == 2], found[torch.tensor([2])], found.to("cpu")):
        assert part.names == NAMES
        assert part.image is picture
    assert found.scale_to((24, 20)).names == NAMES
    assert found.scale_to((24, 20)).image is None


def test_without_names_a_row_has_its_index_as_text() -> None:
    unnamed = replace(FOUND, names=None)
    assert [row.name for row in unnamed] == ["1", "1", "2"]
    assert unnamed.summary() == "2 1s, 1 2"


def test_forms_for_json_and_pandas() -> None:
    rows = json.loads(json.dumps(FOUND.to_list()))
    assert rows[0] == {"label": "dog", "score": 0.75, "box": [1, 2, 5, 8]}
    entry = {"image": "a.jpg", "size": [12, 10], "detections": rows}
    content: dict[str, object] = {"format": FORMAT, "categories": [], "images": [entry]}
    content |= {"failures": [], "skipped": 0, "capped": 0, "others": 0}
    TypeAdapter(DetectionsFile).validate_python(content)
    frame = FOUND.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame) == ["label", "score", "x0", "y0", "x1", "y1"]
    assert frame.loc[0].tolist() == ["dog", 0.75, 1, 2, 5, 8]
    assert [len(FOUND.to_pandas()), len(Detections.empty().to_pandas())] == [3, 0]
    assert list(Detections.empty().to_pandas()) == list(frame)


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({}, "nothing"),
        ({"person": 1}, "1 person"),
        ({"dog": 1, "person": 2}, "2 persons, 1 dog"),
        ({"dog": 1, "cat": 1}, "1 dog, 1 cat"),
        ({"bus": 2, "bench": 3}, "3 benches, 2 buses"),
        ({"wine glass": 2, "toothbrush": 2}, "2 wine glasses, 2 toothbrushes"),
        (
            {"sheep": 4, "scissors": 3, "mouse": 2, "knife": 2},
            "4 sheep, 3 scissors, 2 mice, 2 knives",
        ),
        (
            {f"c{n}": 1 for n in range(13)} | {"dog": 5},
            "5 dogs, " + ", ".join(f"1 c{n}" for n in range(9)) + ", 4 of 4 other classes",
        ),
        (
            {f"c{n}": 1 for n in range(11)},
            ", ".join(f"1 c{n}" for n in range(11)),
        ),
    ],
)
def test_the_summary_is_said_in_words(counts: dict[str, int], text: str) -> None:
    assert describe_counts(counts) == text


def test_the_text_lists_what_was_found() -> None:
    lines = repr(FOUND).splitlines()
    assert lines[0] == "Detections(2 dogs, 1 <b> in 10 x 12 pixels)"
    assert lines[1].split() == ["dog", "0.75", "[1.0,", "2.0,", "5.0,", "8.0]"]
    assert len(lines) == 4
    assert repr(Detections.empty()) == "Detections(nothing)"
    many = Detections(torch.zeros(25, 4), torch.ones(25), torch.zeros(25, dtype=torch.int64))
    assert repr(many).splitlines()[-1] == "  ... and 15 more"


def test_pictures_are_those_of_the_drawing(picture: UInt8[ndarray, "h w 3"]) -> None:
    expected = draw_detections(picture, FOUND, NAMES)
    attached = replace(FOUND, image=picture)
    for drawn in (FOUND.draw(picture), FOUND.draw(Image.fromarray(picture)), attached.draw()):
        np.testing.assert_array_equal(drawn, expected)
    np.testing.assert_array_equal(Detections.empty().draw(picture), picture)
    assert (replace(FOUND, names=None).draw(picture) != picture).any()


def test_crops_are_what_the_boxes_have(picture: UInt8[ndarray, "h w 3"]) -> None:
    crops = FOUND.crops(picture)
    for crop, expected in zip(crops, (picture[2:8, 1:5], picture, picture[11:, 9:]), strict=True):
        np.testing.assert_array_equal(crop, expected)
        assert not np.shares_memory(crop, picture)
    outside = Detections(
        torch.tensor([[-5.0, -5, -1, -1], [90, 90, 99, 99]]), torch.ones(2), FOUND.labels[:2]
    )
    assert [crop.shape for crop in outside.crops(picture)] == [(1, 1, 3)] * 2


def test_another_image_or_none_is_one_line(picture: UInt8[ndarray, "h w 3"]) -> None:
    for method in (FOUND.draw, FOUND.crops):
        with pytest.raises(DataError, match=r"came without their image; pass it"):
            method()
        with pytest.raises(DataError, match="10 x 12 pixels, but this one has 10 x 11"):
            method(picture[1:])


def test_notebooks_show_the_picture_or_else_a_table(picture: UInt8[ndarray, "h w 3"]) -> None:
    assert FOUND._repr_png_() is None
    table = FOUND._repr_html_()
    assert table is not None
    assert table.count("<tr>") == 4
    assert "2 dogs" in table
    assert "&lt;b&gt;" in table
    assert "<b>" not in table
    attached = replace(FOUND, image=picture)
    assert attached._repr_html_() is None
    shown = attached._repr_png_()
    assert shown is not None
    with Image.open(io.BytesIO(shown)) as png:
        np.testing.assert_array_equal(np.asarray(png), attached.draw())
    large = Detections.empty((1000, 2000))
    shown = replace(large, image=np.zeros((1000, 2000, 3), np.uint8))._repr_png_()
    assert shown is not None
    with Image.open(io.BytesIO(shown)) as png:
        assert png.size == (800, 400)


def sample_detections(size: tuple[int, int] | None = (20, 40)) -> Detections:
    return Detections(BOXES, SCORES, LABELS, size)


@pytest.mark.parametrize(
    ("boxes", "scores", "labels"),
    [
        pytest.param(torch.zeros(0), torch.zeros(0), LABELS[:0], id="boxes without columns"),
        pytest.param(torch.zeros(3, 5), SCORES, LABELS, id="boxes of five columns"),
        pytest.param(BOXES.half(), SCORES, LABELS, id="boxes of float16"),
        pytest.param(BOXES, SCORES[:2], LABELS, id="too few scores"),
        pytest.param(BOXES, SCORES[:, None], LABELS, id="scores in a column"),
        pytest.param(BOXES, SCORES.double(), LABELS, id="scores of float64"),
        pytest.param(BOXES, SCORES, LABELS[:2], id="too few labels"),
        pytest.param(BOXES, SCORES, LABELS.int(), id="labels of int32"),
    ],
)
def test_detections_refuse_wrong_shapes_and_types(
    boxes: Tensor, scores: Tensor, labels: Tensor
) -> None:
    with pytest.raises(REFUSED):
        Detections(boxes, scores, labels)


def test_frozen() -> None:
    with pytest.raises((AttributeError, TypeError)):
        FOUND.boxes = BOXES  # type: ignore[misc]


def test_detections_empty() -> None:
    nothing = Detections.empty((20, 40))
    assert len(nothing) == 0
    assert nothing.size == (20, 40)
    assert nothing.boxes.shape == (0, 4)
    assert len(nothing[torch.zeros(0, dtype=torch.bool)]) == 0
    assert nothing.scale_to((10, 10)).size == (10, 10)
    assert Detections.empty().size is None


@pytest.mark.parametrize(
    ("index", "kept"),
    [
        pytest.param(torch.zeros(3, dtype=torch.bool), [], id="a mask of none"),
        pytest.param(torch.tensor([True, False, True]), [0, 2], id="a mask"),
        pytest.param(SCORES > 0.4, [0, 1], id="a mask by score"),
        pytest.param(torch.zeros(0, dtype=torch.int64), [], id="no index"),
        pytest.param(torch.tensor([2, 0]), [2, 0], id="indices"),
        pytest.param(slice(1, None), [1, 2], id="a slice"),
        pytest.param(slice(0, 0), [], id="an empty slice"),
    ],
)
def test_detections_indexed(index: Tensor | slice, kept: list[int]) -> None:
    picked = sample_detections()[index]
    assert len(picked) == len(kept)
    assert picked.size == (20, 40)
    for column, full in ((picked.boxes, BOXES), (picked.scores, SCORES), (picked.labels, LABELS)):
        assert torch.equal(column, full[torch.tensor(kept, dtype=torch.int64)])


def test_detections_scale_to_takes_height_and_width() -> None:
    scaled = sample_detections((20, 40)).scale_to((40, 20))
    assert scaled.size == (40, 20)
    assert scaled.boxes[0].tolist() == [0, 0, 5, 20]
    assert torch.equal(scaled.scores, SCORES)
    assert torch.equal(scaled.scale_to((20, 40)).boxes, BOXES)


def test_detections_of_unknown_size_cannot_be_scaled() -> None:
    with pytest.raises(ValueError, match="is unknown"):
        sample_detections(None).scale_to((40, 20))


def test_detections_to_dict_has_torchvisions_keys() -> None:
    values = sample_detections().to_dict()
    assert set(values) == {"boxes", "scores", "labels"}
    assert torch.equal(values["boxes"], BOXES)
    assert torch.equal(values["scores"], SCORES)
    assert torch.equal(values["labels"], LABELS)


def test_detections_to_another_device() -> None:
    moved = sample_detections().to("meta")
    parts = (moved.boxes, moved.scores, moved.labels)
    assert {part.device.type for part in parts} == {"meta"}
    assert moved.size == (20, 40)
