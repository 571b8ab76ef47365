"""Data that are wrong in ways that other trainers crash on late, or learn from without a word."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.formats.builders import voc_object, voc_xml, write_voc
from tests.runs import read_log, run_config, scenes
from vision.engine import train
from vision.errors import DataError

pytestmark = pytest.mark.slow


def voc(root: Path, split: str = "train") -> str:
    return f"{{format: voc, root: '{root}', split: {split}}}"


def good(name: str = "star") -> str:
    return voc_xml(voc_object(name, (11, 6, 30, 20)))


def losses(folder: Path) -> list[float]:
    return [float(row["loss"]) for row in read_log(folder)]


@pytest.mark.parametrize(
    "box",
    [
        (1, 1, "1e12", "1e12"),
        ("-1e12", "-1e12", "1e12", "1e12"),
        (1, 1, 60, 40),
        (30, 20, "30.001", "20.001"),
        (30, 20, 10, 5),
        (500, 500, 900, 900),
    ],
)
def test_absurd_boxes_are_cut_dropped_or_learnt_but_never_spoil_the_loss(
    tmp_path: Path, box: tuple[float | str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    root = write_voc(tmp_path / "voc", {"a": voc_xml(voc_object("star", box)), "b": good()})
    with caplog.at_level("INFO"):
        train(run_config(f"data.train={voc(root)}", "data.val=null"), tmp_path / "run")
    assert all(map(math.isfinite, losses(tmp_path / "run")))
    assert "boxes" in caplog.text


def test_pixels_that_are_no_numbers(tmp_path: Path) -> None:
    """A float image with NaN either is refused by its name or becomes bytes like any other."""
    root = write_voc(tmp_path / "voc", {"a": good(), "b": good()})
    for path in (root / "JPEGImages").glob("a.*"):
        path.unlink()
    pixels = np.full((40, 60, 3), 0.5, np.float32)
    pixels[:20] = np.nan
    assert cv2.imwrite(str(root / "JPEGImages" / "a.tif"), pixels)
    try:
        train(run_config(f"data.train={voc(root)}", "data.val=null"), tmp_path / "run")
    except DataError as error:
        assert "a.tif" in str(error)  # noqa: PT017
        assert not (tmp_path / "run" / "last.safetensors").exists()
    else:
        assert all(map(math.isfinite, losses(tmp_path / "run")))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_decodes_to_nothing_ends_the_first_epoch_by_its_name(
    tmp_path: Path, workers: int
) -> None:
    """Its header is sound, so it cannot be told before it is read."""
    root = write_voc(tmp_path / "voc", {name: good() for name in "abcd"})
    (path,) = (root / "JPEGImages").glob("c.*")
    path.unlink()
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    content = cv2.imencode(".png", noise)[1].tobytes()
    path.with_suffix(".png").write_bytes(content[: len(content) // 2])
    config = run_config(f"data.train={voc(root)}", "data.val=null", f"train.workers={workers}")
    with pytest.raises(DataError, match=r"c\.\w+ cannot be decoded") as caught:
        train(config, tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "last.safetensors").exists()


def test_a_class_that_never_appears_is_named_and_has_no_value(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    overrides = ("data.classes=[circle, unicorn]", "train.epochs=1")
    with caplog.at_level("INFO"):
        train(run_config(*overrides), tmp_path)
    assert "no boxes of: unicorn" in caplog.text
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["voc"]["per_class"]["unicorn"] is None
    assert metrics["voc"]["per_class"]["circle"] == metrics["voc"]["mAP50"]


def test_classes_of_which_no_box_is_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no training box has a class of data\.classes \(unicorn"):
        train(run_config("data.classes=[unicorn]"), tmp_path / "run")


@pytest.mark.parametrize("num_images", [2, 3])
def test_an_epoch_smaller_than_a_batch_is_one_step(tmp_path: Path, num_images: int) -> None:
    train(
        run_config(f"data.train={scenes(num_images)}", "train.batch_size=32", "data.val=null"),
        tmp_path,
    )
    assert len(read_log(tmp_path)) == 2
    assert (tmp_path / "states" / "step-000000002.pt").is_file()


def test_images_without_objects_among_others_teach_background(tmp_path: Path) -> None:
    root = write_voc(
        tmp_path / "voc", {"a": good(), "b": voc_xml(), "c": voc_xml(), "d": voc_xml()}
    )
    train(
        run_config(f"data.train={voc(root)}", "train.batch_size=2", "data.val=null"),
        tmp_path / "run",
    )
    assert all(map(math.isfinite, losses(tmp_path / "run")))
