"""A repaired copy: the check is silent about what was put right, and it can be trained on."""

from pathlib import Path

import numpy as np
import pytest

from tests.check import corpus
from tests.check.test_check import check, details, read
from tests.runs import contents, write_run_config
from vision.check import CheckReport
from vision.cli.main import main
from vision.formats import Annotations
from vision.images import read_image

FIXED = {
    "missing image",
    "unreadable image",
    "images whose end is missing",
    "image rotated by EXIF",
    "size other than stated",
    "file listed twice",
    "same image twice",
    "same image in two splits",
    "near-identical images in two splits",
    "box without area",
    "box outside its image",
    "box beyond the border",
    "boxes whose corners were swapped",
    "box drawn twice",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus.faulty(tmp_path_factory.mktemp("faulty") / "data").write()


@pytest.fixture(scope="module")
def copy(root: Path) -> Path:
    """The copy; the original is left as it was."""
    before, folder = contents(root), root.parent / "repaired"
    assert main(["check", "--data", str(root), "--fix", str(folder)]) == 1
    assert contents(root) == before
    return folder


@pytest.fixture(scope="module")
def report(copy: Path) -> CheckReport:
    return check(copy)


def by_name(annotations: Annotations) -> dict[str, int]:
    return {Path(record.image_id).name: len(record.names) for record in annotations.records}


def test_nothing_is_found_that_was_put_right(root: Path, report: CheckReport) -> None:
    found = {finding.kind for finding in check(root).findings}
    assert found >= FIXED
    assert {finding.kind for finding in check(root).findings if finding.fix} == FIXED
    left = {finding.kind for finding in report.findings}
    assert not left & FIXED
    assert left <= found
    assert details(report, "similar class names")
    assert details(report, "class that train does not have")


def test_what_is_left_out_and_what_is_joined(copy: Path) -> None:
    train, val = (by_name(annotations) for annotations in read(copy).values())
    for name in ("missing0.jpg", "zero0.jpg", "half0.jpg", "leak0.jpg", "nearleak0.jpg"):
        assert name not in train
    assert val["first_leak0.jpg"] == val["first_nearleak0.jpg"] == 4
    assert train["twice0.jpg"] == train["first_copy0.jpg"] == 4
    assert "copy0.jpg" not in train
    assert train["box_without_area0.jpg"] == train["box_outside_its_image0.jpg"] == 2
    assert train["box_beyond_the_border0.jpg"] == 3
    assert train["box_drawn_twice0.jpg"] == 1
    assert train["object_of_two_classes0.jpg"] == 2
    assert train["empty0.jpg"] == 0
    assert {"near0.jpg", "first_near0.jpg", "end0.jpg", "turned0.jpg"} <= train.keys()


def test_turned_images_are_written_as_their_boxes_say(root: Path, copy: Path) -> None:
    """The annotations state the size of the image as stored, so that it is stored still."""
    before = read_image(root / "train" / "turned0.jpg", (corpus.HEIGHT, corpus.WIDTH))
    after = read_image(copy / "train" / "turned0.jpg")
    assert before.shape == after.shape == (corpus.HEIGHT, corpus.WIDTH, 3)
    assert np.abs(before.astype(int) - after.astype(int)).mean() < 3
    for folder in (root, copy):
        (record,) = [
            record
            for record in read(folder)["train"].records
            if record.image_id.endswith("turned0.jpg")
        ]
        assert record.size == (corpus.HEIGHT, corpus.WIDTH)
        assert len(record.boxes) == 4


def test_other_images_are_copied_as_they_are(root: Path, copy: Path) -> None:
    assert contents(copy / "val")["clean0.jpg"] == contents(root / "val")["clean0.jpg"]


@pytest.mark.slow
def test_the_copy_of_a_data_set_that_training_refuses_trains(
    root: Path, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Classes that only val has are named away, as the check advises."""
    classes = "data.classes=[cat, dog]"
    config = write_run_config(tmp_path / "small.yaml", "train.epochs=1")
    command = ["train", "--config", config, "--out", str(tmp_path / "run"), classes]
    assert main([*command, "--data", str(root)]) == 2
    assert "show all with ssdlite check" in capsys.readouterr().err
    assert main([*command, "--data", str(copy)]) == 0
