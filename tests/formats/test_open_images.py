"""Open Images in its own layout and in FiftyOne's."""

from pathlib import Path

import pytest

from tests.formats.builders import write_image
from vision.errors import DataError
from vision.formats.open_images import read_open_images

HEADER = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf\n"
ROWS = (
    "a,xclick,/m/01yrx,1,0.25,0.75,0.375,0.625,0,0\n"
    "a,xclick,/m/0bt9lr,1,0,1,0,1,0,1\n"
    "elsewhere,xclick,/m/0bt9lr,1,0,1,0,1,0,0\n"
)
CLASSES = "/m/0bt9lr,Dog\n/m/01yrx,Cat\n/m/unused,Bird\n"


def write(root: Path, rows: str = ROWS, *, fiftyone: bool = False) -> str:
    """The split validation with the images a and b."""
    split = root / "validation"
    file = split / "labels/detections.csv" if fiftyone else root / "validation-annotations-bbox.csv"
    names = split / "metadata/classes.csv" if fiftyone else root / "class-descriptions-boxable.csv"
    for path, text in ((file, HEADER + rows), (names, CLASSES)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name in ("a.jpg", "b.jpg"):
        write_image((split / "data" if fiftyone else split) / name)
    return str(root)


@pytest.mark.parametrize("fiftyone", [False, True])
@pytest.mark.parametrize("split", ["val", "validation"])
def test_reads_boxes_names_and_groups(tmp_path: Path, fiftyone: bool, split: str) -> None:
    found = read_open_images(write(tmp_path, fiftyone=fiftyone), split).check()
    (record,) = found.records
    assert record.boxes.tolist() == [[15, 15, 45, 25], [0, 0, 60, 40]]
    assert record.names == ("Cat", "Dog")
    assert record.ignore.tolist() == record.crowd.tolist() == [False, True]
    assert found.names == ["Dog", "Cat"]
    assert found.tally.counts == {
        "rows without an image file left out": 1,
        "images without a row left out": 1,
    }


def test_the_files_may_be_named_and_names_be_missing(tmp_path: Path) -> None:
    root = write(tmp_path)
    (tmp_path / "class-descriptions-boxable.csv").unlink()
    keys = {"annotations": "validation-annotations-bbox.csv", "images": "validation"}
    found = read_open_images(root, **keys)
    assert found.records[0].names == ("/m/01yrx", "/m/0bt9lr")
    absolute = {key: str(tmp_path / name) for key, name in keys.items()}
    assert len(read_open_images(root, **absolute).records) == 1


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("", "none of its images is in"),
        ("x,y,/m/01yrx,1,0.25,0.75,0.375,0.625,0,0\n", "none of its images is in"),
        (
            ROWS + "a,x,/m/01yrx,1,left,0.75,0,1,0,0\n",
            "bbox.csv:5: expected a name and four numbers",
        ),
        (ROWS + "a,x,,1,0.25,0.75,0,1,0,0\n", "bbox.csv:5: expected an image and a name"),
    ],
)
def test_refusals(tmp_path: Path, rows: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read_open_images(write(tmp_path, rows), "val").check()
    assert said in str(caught.value)


def test_a_row_that_ends_before_the_image_is_a_fault(tmp_path: Path) -> None:
    root, file = write(tmp_path), tmp_path / "validation-annotations-bbox.csv"
    file.write_text("LabelName,XMin,XMax,YMin,YMax,ImageID\n/m/01yrx,0,1,0,1,a\n/m/01yrx,0,1,0,1\n")
    found = read_open_images(root, "val")
    assert [record.names for record in found.records] == [("Cat",)]
    (fault,) = found.faults
    assert "bbox.csv:3: expected an image and a name" in fault.message


def test_refuses_what_is_not_there_or_other_columns(tmp_path: Path) -> None:
    root = write(tmp_path)
    with pytest.raises(DataError, match=r"has none of \*train-annotations-bbox.csv, train/labels"):
        read_open_images(root, "train")
    (tmp_path / "validation-annotations-bbox.csv").write_text("ImageID,XMin\n")
    with pytest.raises(
        DataError, match="columns of Open Images, but it lacks LabelName, YMin, XMax, YMax"
    ):
        read_open_images(root, "val")


def test_a_folder_where_the_command_starts_is_not_taken_for_a_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path / "data")
    for name in ("validation", "validation/labels"):
        write_image(tmp_path / "elsewhere" / name / "a.jpg")
    (tmp_path / "elsewhere/validation/labels/detections.csv").write_text(HEADER, encoding="utf-8")
    monkeypatch.chdir(tmp_path / "elsewhere")
    for keys in ({}, {"images": "validation"}):
        (record,) = read_open_images(root, "val", **keys).check().records
        assert record.image_id == str(tmp_path / "data" / "validation" / "a.jpg")


@pytest.mark.parametrize("keys", [{}, {"images": "validation"}])
def test_refuses_to_guess_a_split(tmp_path: Path, keys: dict[str, str]) -> None:
    with pytest.raises(DataError, match="Open Images data: give split, or annotations and images"):
        read_open_images(write(tmp_path), **keys)


def test_refuses_a_named_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"^Open Images root {tmp_path} has no mine.csv$"):
        read_open_images(write(tmp_path), "val", annotations="mine.csv")
