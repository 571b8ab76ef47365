"""The log of a run, as a table and as a picture."""

from pathlib import Path
from typing import Any

import pytest

from vision.engine.pictures import draw_curves
from vision.engine.recorder import write_log
from vision.images import read_image

HEADER = "epoch,lr,loss,classification,localisation,images_per_second,voc.mAP50,coco.AP"
START: dict[str, Any] = {"epoch": 0, "voc.mAP50": 0.0, "coco.AP": None}
FIRST = {
    "epoch": 1,
    "lr": 0.05,
    "loss": 12.3456789,
    "classification": 1e-7 / 3,
    "localisation": 100000,
    "images_per_second": 1234.56,
    "voc.mAP50": 2 / 3,
    "coco.AP": 0.1,
}


def test_the_table_has_five_digits_and_empty_fields(tmp_path: Path) -> None:
    write_log(tmp_path / "log.csv", [START, FIRST])
    assert (tmp_path / "log.csv").read_bytes().decode().splitlines() == [
        HEADER,
        "0,,,,,,0,",
        "1,0.05,12.346,3.3333e-08,100000,1234.6,0.66667,0.1",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "rows",
    [[], [START], [FIRST], [START, FIRST], [START, FIRST, {**FIRST, "epoch": 2, "coco.AP": None}]],
)
def test_the_picture_takes_any_rows(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    draw_curves(rows, tmp_path / "curves.png")
    drawn = read_image(tmp_path / "curves.png")
    draw_curves([], tmp_path / "nothing.png")
    nothing = read_image(tmp_path / "nothing.png")
    assert drawn.shape == nothing.shape == (360, 1200, 3)
    assert (drawn != nothing).any() == bool(rows)
