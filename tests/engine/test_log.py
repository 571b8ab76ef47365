"""The log of a run, as a table and as a picture."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from vision.engine.pictures import draw_curves
from vision.engine.recorder import _git_commit as commit_of_package
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


def test_the_commit_is_of_the_package_and_not_of_a_project_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "venv" / "recorder.py"
    file.parent.mkdir()
    file.touch()
    (tmp_path / "other.txt").touch()

    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        return subprocess.check_output(["git", "-C", str(tmp_path), *who, *words], text=True)  # noqa: S603, S607

    monkeypatch.setattr("vision.engine.recorder.__file__", str(file))
    git("init", "--quiet")
    git("add", "other.txt")
    git("commit", "--quiet", "-m", "a project")
    assert commit_of_package() is None
    git("add", "venv/recorder.py")
    assert commit_of_package() == git("rev-parse", "HEAD").strip() + "+"


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
