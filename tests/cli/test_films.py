"""``ssdlite detect`` on films: sound and times, tracks and counts, and files of each frame."""

import csv
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from tests.media.samples import film_with_sound
from tests.runs import entries_in
from vision.cli.main import main
from vision.detection import Journal
from vision.detections import Detections
from vision.detector import Detector
from vision.formats.yolo import read_yolo
from vision.images import read_image
from vision.media import VideoReader, VideoWriter, write_image

NAMES = ["cat", "dog"]
SIDE = 24
"""Pixels of the squares in the film."""
NUM_FRAMES = 40


def places(number: int) -> list[tuple[int, int]]:
    """Left and top of a red square that goes right and a green one that goes left, below it."""
    return [(10 + 4 * number, 30), (190 - 4 * number, 90)]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    with VideoWriter(tmp_path / "film.mp4", 10.0) as writer:
        for number in range(NUM_FRAMES):
            frame = np.zeros((160, 240, 3), np.uint8)
            for channel, (x, y) in enumerate(places(number)):
                frame[y : y + SIDE, x : x + SIDE, channel] = 255
            writer.write(frame)
    return tmp_path / "film.mp4"


@pytest.fixture
def finds_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector that knows red squares as cats and green ones as dogs, to the pixel."""

    def start(
        self: Detector, images: Sequence[UInt8[ndarray, "_ _ 3"]], threshold: object
    ) -> Callable[[], list[Detections]]:
        return lambda: [found_in(image, self.names) for image in images]

    def found_in(image: UInt8[ndarray, "_ _ 3"], names: list[str]) -> Detections:
        boxes = []
        for channel in range(2):
            x, y, width, height = cv2.boundingRect((image[..., channel] > 128).astype(np.uint8))
            boxes.append([x, y, x + width, y + height])
        labels = torch.tensor([0, 1])
        size = (image.shape[0], image.shape[1])
        scores = torch.tensor([0.9, 0.8])
        return Detections(torch.tensor(boxes).float(), scores, labels, size, names, image)

    monkeypatch.setattr(Detector, "_start", start)


def detect(weights: Path, out: Path, *words: object) -> int:
    return main(["detect", *map(str, words), "--weights", str(weights), "--out", str(out)])


def test_tracks_of_photographs_are_said_to_be_none(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "a.png", np.zeros((40, 40, 3), np.uint8))
    for words, option in ((["--track"], "--track"), (["--count=line:0,0,1,1"], "--count")):
        assert detect(weights, tmp_path / option, tmp_path / "a.png", *words) == 0
        said = capsys.readouterr().out
        expected = f"warning: {option} has no effect on images: objects are tracked in videos only"
        assert expected in said
    assert detect(weights, tmp_path / "out", tmp_path / "a.png", "--reconnect=5") == 0
    assert "warning: --reconnect has no effect: none of the inputs" in capsys.readouterr().out
    words = [f"--annotations={tmp_path / 'none.json'}", "--overwrite"]
    assert detect(weights, tmp_path / "out", tmp_path / "a.png", *words) == 0
    expected = "warning: --annotations has no effect without --save coco"
    assert expected in capsys.readouterr().out


@pytest.mark.usefixtures("finds_squares")
@pytest.mark.parametrize(
    "words",
    [["--workers=1"], pytest.param(["--workers=3", "--batch=2"], marks=pytest.mark.slow)],
)
def test_tracks_and_counts(
    weights: Path, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    out, line, zone = tmp_path / "out", "line:0.5,0,0.5,1", "zone:150,0,240,0,240,160,150,160"
    save = "--save=pictures,json,csv,parquet"
    assert detect(weights, out, film, "--count", line, "--count", zone, save, *words) == 0
    entries = entries_in(out)
    tracks = [[item.get("track") for item in entry["detections"]] for entry in entries]
    assert tracks == [[None, None], *[[1, 2]] * (NUM_FRAMES - 1)]  # no switch
    for entry, number in zip(entries, range(NUM_FRAMES), strict=True):
        assert entry["time"] == pytest.approx(number / 10, abs=1e-3)
        for item, (x, y) in zip(entry["detections"], places(number), strict=True):
            assert item["box"] == pytest.approx([x, y, x + SIDE, y + SIDE], abs=2)
    # From the top to the bottom, the left side of the line is on the right.
    assert entries[0]["counts"] == {
        line: {"in": {}, "out": {}},
        zone: {"inside": {}, "entered": {}},
    }
    assert entries[-1]["counts"] == {
        line: {"in": {"dog": 1}, "out": {"cat": 1}},
        zone: {"inside": {"cat": 1}, "entered": {"cat": 1, "dog": 1}},
    }
    said = capsys.readouterr().out
    assert f"film.mp4, {line}: in 1 (1 dog), out 1 (1 cat)" in said
    assert f"film.mp4, {zone}: inside 1 (1 cat), entered 2 (1 dog, 1 cat)" in said
    with (out / "detections.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["track"] for row in rows] == ["", "", *["1", "2"] * (NUM_FRAMES - 1)]
    assert [float(row["time"]) for row in rows] == [e["time"] for e in entries for _ in range(2)]
    with VideoReader(out / "film.mp4") as annotated, VideoReader(film) as original:
        assert annotated.num_frames == NUM_FRAMES
        drawn = [
            np.abs(a.astype(int) - b)[:, 118:122].mean()
            for a, b in zip(annotated, original, strict=True)
        ]
    assert min(drawn) > 20  # the line, in each frame


@pytest.mark.slow
@pytest.mark.usefixtures("finds_squares")
def test_parquet_has_the_columns_of_the_csv(weights: Path, film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert detect(weights, out, film, "--track", "--save=csv,parquet") == 0
    table, text = pd.read_parquet(out / "detections.parquet"), pd.read_csv(out / "detections.csv")
    assert len(table) == 2 * NUM_FRAMES
    pd.testing.assert_frame_equal(table, text, check_dtype=False, rtol=1e-6, check_exact=False)


@pytest.mark.slow
@pytest.mark.usefixtures("finds_squares")
def test_frames_as_data_sets(weights: Path, film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("--save=crops,yolo,labelme,json", "--stride=20", "--track")
    assert detect(weights, out, film, *words) == 0
    truth = [[item["box"] for item in entry["detections"]] for entry in entries_in(out)]
    assert [entry["frame"] for entry in entries_in(out)] == [0, 20]
    read = read_yolo(str(out / "yolo"), "train").check()
    assert [record.names for record in read.records] == [("cat", "dog")] * 2
    np.testing.assert_allclose([record.boxes for record in read.records], truth, atol=1e-3)
    for record, number, boxes in zip(read.records, (0, 20), truth, strict=True):
        image = record.load()
        assert image.shape == (160, 240, 3)
        file = json.loads((out / f"labelme/film.mp4/{number:06}.json").read_text())
        shown = read_image(out / "labelme/film.mp4" / file["imagePath"])
        np.testing.assert_array_equal(shown, image)
        assert [np.ravel(shape["points"]).tolist() for shape in file["shapes"]] == boxes
        assert [shape["label"] for shape in file["shapes"]] == ["cat", "dog"]
        crop = read_image(out / f"crops/cat/film.mp4/{number:06}_0.jpg")
        assert crop[..., 0].mean() > 200
        assert crop[..., 1].mean() < 60
    assert detect(weights, out, film, *words, "--overwrite") == 2


def test_a_film_with_sound_comes_back_with_it(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film_with_sound(tmp_path / "in/loud.mp4", "aac")
    film_with_sound(tmp_path / "in/mute.mp4", None)
    out = tmp_path / "out"
    assert detect(weights, out, tmp_path / "in", "--score=1") == 0
    for name, kinds in (("loud", ["video", "audio"]), ("mute", ["video"])):
        with av.open(str(out / f"{name}.mp4")) as film:
            assert [stream.type for stream in film.streams] == kinds
            assert film.streams.video[0].codec_context.name == "h264"
    assert capsys.readouterr().out.startswith("nothing in 20 frames; ")  # and no line before


def test_without_pyav_it_is_said_once_what_would_be_better(
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    film_with_sound(tmp_path / "in/loud.mp4", "aac")
    film_with_sound(tmp_path / "in/mute.mp4", None)
    for module in ("vision.detection.runner", "vision.media.video_writer"):
        monkeypatch.setattr(f"{module}.has_h264", lambda: False)
    out = tmp_path / "out"
    assert detect(weights, out, tmp_path / "in", "--score=1") == 0
    said = capsys.readouterr().out
    assert said.count("MPEG-4, without sound; ") == said.count('pip install ".[video]"') == 1
    with av.open(str(out / "loud.mp4")) as film:
        assert [stream.codec_context.name for stream in film.streams] == ["mpeg4"]
    assert [entry["time"] for entry in entries_in(out)] == pytest.approx(
        [number / 10 for number in [*range(10)] * 2]
    )


@pytest.mark.parametrize(
    ("words", "package"), [(["--track"], "trackers"), (["--save=parquet"], "pyarrow")]
)
def test_a_missing_package_is_one_line_before_the_work(
    weights: Path,
    film: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    package: str,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert detect(weights, tmp_path / "out", film, *words) == 2
    error = capsys.readouterr().err.strip()
    assert f"the package {package} is not installed" in error
    assert "\n" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("finds_squares")
def test_an_interrupted_run_continues_with_all_kinds_of_files(
    weights: Path,
    film: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("a", "b"):
        write_image(tmp_path / f"in/{name}.png", next(iter(VideoReader(film))))
    film.rename(tmp_path / "in/film.mp4")
    words = ["--save=pictures,json,crops,yolo,labelme,parquet", "--count=line:0.5,0,0.5,1"]
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert detect(weights, whole, tmp_path / "in", *words) == 0
    add, added = Journal.add, itertools.count(1)

    def add_and_interrupt(journal: Journal, entry: Any) -> None:  # noqa: ANN401
        add(journal, entry)
        if next(added) == 12:  # in the film
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", add_and_interrupt)
        assert detect(weights, out, tmp_path / "in", *words) == 130
    assert not (out / "film.mp4").exists()
    fewer = ["--save=pictures,json"]
    assert detect(weights, out, tmp_path / "in", "--resume", *fewer) == 2
    assert "other settings (files, track, count); resume" in capsys.readouterr().err
    assert detect(weights, out, tmp_path / "in", "--resume", *words) == 0
    names = [path.relative_to(whole) for path in sorted(whole.rglob("*")) if path.is_file()]
    assert names == [path.relative_to(out) for path in sorted(out.rglob("*")) if path.is_file()]
    num_images = 2 + NUM_FRAMES
    num_crops, num_in_yolo, num_in_labelme = 2 * num_images, 2 * num_images, num_images + NUM_FRAMES
    assert len(names) == num_crops + num_in_yolo + num_in_labelme + len(
        ["a.png", "b.png", "film.mp4", "detections.json", "detections.parquet", "yolo/data.yaml"]
    )
    for path in names:
        if path.suffix not in {".parquet", ".mp4"}:
            text = (whole / path).read_bytes().replace(bytes(whole), bytes(out))
            assert (out / path).read_bytes() == text
    assert entries_in(out)[-1]["counts"] == {words[1][8:]: {"in": {"dog": 1}, "out": {"cat": 1}}}


def test_files_of_one_name_are_refused_before_the_work(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "a.jpg"):
        write_image(tmp_path / "in" / name, np.zeros((9, 9, 3), np.uint8))
    for kind in ("crops", "yolo", "labelme"):
        assert detect(weights, tmp_path / "out", tmp_path / "in", f"--save={kind}") == 2
        assert "a.png would have the same files; rename one" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_film_and_its_poster_may_have_one_name(weights: Path, film: Path, tmp_path: Path) -> None:
    """The film's crops and label files are in a folder."""
    write_image(film.with_suffix(".png"), np.zeros((9, 9, 3), np.uint8))
    words = ("--save=crops,yolo,labelme", "--score=0.2", "--max=1")
    assert detect(weights, tmp_path / "out", film.parent, *words) == 0
    labels = list((tmp_path / "out/yolo/labels").rglob("*.txt"))
    assert len(labels) == 1 + NUM_FRAMES


def test_yolo_and_labelme_lead_to_the_original_images(weights: Path, tmp_path: Path) -> None:
    """An image is copied byte by byte; one in a format that is not written becomes a PNG."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (40, 60, 3), np.uint8)
    write_image(tmp_path / "in/sub/a.jpg", pixels)
    Image.fromarray(pixels).save(tmp_path / "in/b.gif")
    out = tmp_path / "out"
    words = ("--save=yolo,labelme,json", "--score=0.2", "--max=3")
    assert detect(weights, out, tmp_path / "in", *words) == 0
    original = (tmp_path / "in/sub/a.jpg").read_bytes()
    assert (out / "yolo/images/sub/a.jpg").read_bytes() == original
    read = read_yolo(str(out / "yolo"), "train").check()
    found = {Path(entry["image"]).stem: entry["detections"] for entry in entries_in(out)}
    for record in read.records:
        truth = found[Path(record.image_id).stem]
        assert record.names == tuple(item["label"] for item in truth)
        np.testing.assert_allclose(record.boxes, [item["box"] for item in truth], atol=1e-2)
    for name, place in (("sub/a.jpg", "sub/a.json"), ("b.gif", "b.json")):
        file = out / "labelme" / place
        content = json.loads(file.read_text())
        assert (file.parent / content["imagePath"]).samefile(tmp_path / "in" / name)
        assert (content["imageHeight"], content["imageWidth"]) == (40, 60)


def test_labelme_has_an_absolute_path_where_none_leads_to_the_image(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows between two drives."""

    def relpath(*_: object) -> str:
        raise ValueError("path is on mount 'C:', start on mount 'D:'")

    write_image(tmp_path / "in/a.png", np.zeros((40, 60, 3), np.uint8))
    monkeypatch.setattr("vision.detection.image_files.os.path.relpath", relpath)
    assert detect(weights, tmp_path / "out", tmp_path / "in", "--save=labelme") == 0
    content = json.loads((tmp_path / "out/labelme/a.json").read_text())
    assert content["imagePath"] == str(tmp_path / "in/a.png")
