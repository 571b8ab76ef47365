"""``ssdlite detect``: what it writes, what it must not, and that nothing is lost."""

import csv
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from tests.benchmarks.peak import growth
from tests.media.samples import png_header
from tests.runs import entries_in, forking, result_of
from vision.cli.main import main
from vision.config import Config, ModelConfig
from vision.data.synthetic import render_scene
from vision.detection import Journal
from vision.detector import Detector
from vision.images import MAX_PIXELS
from vision.media import Frame, VideoReader, VideoWriter, write_image
from vision.model import build_model
from vision.weights import load_weights, save_weights

NAMES = ["cat", "traffic light"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = Config(model=ModelConfig(image_size=(128, 128), width_mult=0.25))
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_weights(path, build_model(config.model, 2), config, NAMES, {})
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png"):
        write_image(tmp_path / "photos" / name, np.full((40, 60, 3), 90, np.uint8))
    return tmp_path / "photos"


def detect(weights: Path, out: Path, *words: object) -> int:
    return main(["detect", *map(str, words), "--weights", str(weights), "--out", str(out)])


def test_writes_pictures_and_detections(weights: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert detect(weights, out, photos) == 0
    entries = entries_in(out)
    assert [Path(entry["image"]).name for entry in entries] == ["a.png", "b.png"]
    assert all(entry["size"] == [40, 60] for entry in entries)
    assert {path.name for path in out.iterdir()} == {"a.png", "b.png", "detections.json"}


def test_images_that_the_limit_cuts_are_counted(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "the maximum number of detections, where others may be left out"
    assert detect(weights, tmp_path / "a", photos, "--score=0.1", "--max=3") == 0
    assert f"{said}: 2; raise --max or --score" in capsys.readouterr().out
    assert detect(weights, tmp_path / "b", photos, "--score=1") == 0
    assert said not in capsys.readouterr().out


@pytest.mark.slow
def test_all_formats_say_the_same(weights: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert detect(weights, out, photos, "--save=json,coco,csv", "--score=0.2", "--max=7") == 0
    assert {path.suffix for path in out.iterdir()} == {".json", ".csv"}
    entries = entries_in(out)
    found = [(e["image"], d) for e in entries for d in e["detections"]]
    assert [len(e["detections"]) for e in entries] == [7, 7]
    with (out / "detections.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    results = json.loads((out / "coco_results.json").read_text())
    for (image, one), row, result in zip(found, rows, results, strict=True):
        x0, y0, x1, y1 = one["box"]
        assert (row["image"], row["label"]) == (image, one["label"])
        assert [float(row[key]) for key in ("x0", "y0", "x1", "y1")] == one["box"]
        assert result["bbox"] == pytest.approx([x0, y0, x1 - x0, y1 - y0], abs=2e-3)
        assert (result["image_id"], result["category_id"]) == (
            Path(image).stem,
            NAMES.index(one["label"]) + 1,
        )


def test_coco_ids_come_from_annotations(weights: Path, photos: Path, tmp_path: Path) -> None:
    truth: dict[str, Any] = {
        "images": [{"id": 5, "file_name": "a.png"}, {"id": 9, "file_name": "b.png"}],
        "categories": [{"id": 3, "name": "traffic light"}, {"id": 44, "name": "cat"}],
    }
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    out = tmp_path / "out"
    assert detect(weights, out, photos, "--save=coco", "--score=0.2", "--annotations", path) == 0
    results = json.loads((out / "coco_results.json").read_text())
    assert {row["image_id"] for row in results} == {5, 9}
    assert {row["category_id"] for row in results} <= {3, 44}


@pytest.mark.slow
def test_classes_and_their_scores(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, (words, names) in enumerate(
        [
            (["--score=0.2"], set(NAMES)),
            (["--score=0.2", "--classes=cat"], {"cat"}),
            (["--score=0.2", "--score", "cat=1"], {"traffic light"}),
            (["--score=1", "--score", "cat=0.2"], {"cat"}),
        ]
    ):
        out = tmp_path / f"out{number}"
        assert detect(weights, out, photos, *words) == 0
        assert {d["label"] for e in entries_in(out) for d in e["detections"]} == names
    capsys.readouterr()
    assert detect(weights, tmp_path / "no", photos, "--classes=cot") == 2
    assert "no class cot; did you mean cat?" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--workers=1"], ["--workers=3", "--batch=2"]])
@pytest.mark.slow
def test_a_video_is_written_back_in_order(weights: Path, tmp_path: Path, words: list[str]) -> None:
    levels = list(range(10, 250, 12))
    with VideoWriter(tmp_path / "film.mp4", 10.0) as writer:
        for level in levels:
            writer.write(np.full((48, 64, 3), level, np.uint8))
    out = tmp_path / "out"
    assert detect(weights, out, tmp_path / "film.mp4", "--score=1", *words) == 0
    assert [entry["frame"] for entry in entries_in(out)] == list(range(len(levels)))
    with VideoReader(out / "film.mp4") as video:
        assert (video.fps, video.size) == (10, (48, 64))
        means = [float(frame.mean()) for frame in video]
    np.testing.assert_allclose(means, levels, atol=9)  # twice through a codec
    assert (np.diff(means) > 6).all()


def test_a_stride_keeps_the_videos_length(weights: Path, tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "film.mp4", 12.0) as writer:
        for level in range(10, 250, 24):
            writer.write(np.full((48, 64, 3), level, np.uint8))
    out = tmp_path / "out"
    assert detect(weights, out, tmp_path / "film.mp4", "--stride=4", "--score=1") == 0
    assert [entry["frame"] for entry in entries_in(out)] == [0, 4, 8]
    with VideoReader(out / "film.mp4") as video:
        assert video.fps == 3
        assert len(list(video)) == 3


def test_never_overwrites_an_input(
    weights: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (photos / "a.png").read_bytes()
    assert detect(weights, photos, photos / "a.png", photos / "b.png", "--overwrite") == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert (photos / "a.png").read_bytes() == before


@pytest.mark.slow
def test_never_overwrites_results_unless_told_to(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert detect(weights, out, photos) == 0
    (out / "a.png").write_bytes(b"mine")
    assert detect(weights, out, photos) == 2
    assert "2 more exist; name another --out" in capsys.readouterr().err
    assert detect(weights, out, photos, "--resume") == 0
    assert "nothing is left to do" in capsys.readouterr().out
    assert (out / "a.png").read_bytes() == b"mine"
    assert detect(weights, out, photos, "--overwrite") == 0
    assert (out / "a.png").read_bytes() != b"mine"


def test_missing_weights_are_one_line(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect(tmp_path / "no.safetensors", tmp_path / "out", photos) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("ssdlite detect: error:")
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_made_is_refused(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert detect(weights, tmp_path / "file" / "out", photos) == 2
    assert "file is not a folder" in capsys.readouterr().err


def hostile_folder(folder: Path) -> tuple[set[str], dict[str, str]]:
    """A folder of oddities: names of what is readable, and what is said of the rest."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (40, 60, 3), np.uint8)
    odd = ["name with spaces.png", "line\nbreak.png", "ünïcödé 图.png", "sub/deep/er.png"]
    for name in odd:
        write_image(folder / "x.png", pixels)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "x.png").rename(folder / name)
    Image.fromarray(pixels).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(rng.integers(0, 65535, (40, 60), np.uint16)).save(folder / "deep.png")
    frames = [Image.fromarray(pixels), Image.fromarray(255 - pixels)]
    for name in ("moving.webp", "moving.gif", "moving.png"):
        frames[0].save(folder / name, save_all=True, append_images=frames[1:])
    Image.fromarray(pixels[:1, :1]).save(folder / "pixel.png")
    for name, size in (("wide.png", (2, 2000)), ("tall.png", (2000, 2))):
        Image.fromarray(rng.integers(0, 255, (*size, 3), np.uint8)).save(folder / name)
    fine = {*odd, "cmyk.jpg", "deep.png", "moving.webp", "moving.gif", "moving.png"}
    fine |= {"pixel.png", "wide.png", "tall.png"}

    Image.fromarray(pixels).save(folder / "whole.jpg")
    content = (folder / "whole.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(content[: len(content) // 2])
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("not an image")
    (folder / "empty.mp4").touch()
    (folder / "noise.mp4").write_bytes(rng.bytes(4000))
    (folder / "huge.png").write_bytes(png_header(20_000, 20_000))
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "circle.jpg").symlink_to(folder / "circle.jpg")
    (folder / "sub/up").symlink_to(folder)
    os.mkfifo(folder / "pipe.jpg")
    with (folder / "sparse.jpg").open("wb") as file:
        file.truncate(3 * 2**30)
    shutil.copy(folder / "empty.mp4", os.fsdecode(bytes(folder) + b"/not\xffutf8.mp4"))
    return fine | {"whole.jpg"}, {
        "cut.jpg": "cannot be decoded",
        "empty.jpg": "cannot be decoded",
        "text.jpg": "cannot be decoded",
        "empty.mp4": "cannot be read",
        "noise.mp4": "cannot be read",
        "huge.png": f"400,000,000 pixels, more than the {MAX_PIXELS:,}",
        "gone.jpg": "cannot be opened: No such file",
        "circle.jpg": "cannot be opened: Too many levels",
        "pipe.jpg": "is not a regular file",
        "sparse.jpg": "3,221,225,472 bytes, more than",
        "not\udcffutf8.mp4": "a name that is not UTF-8",
    }


@pytest.mark.parametrize("words", [["--workers=1"], ["--workers=3", "--batch=4"]])
@pytest.mark.slow
def test_hostile_files_each_have_their_line_and_the_rest_goes_on(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    fine, broken = hostile_folder(folder)
    assert detect(weights, out, folder, *words) == 1
    said = capsys.readouterr().out.replace("\\udcff", "\udcff")
    found = [os.path.relpath(entry["image"], folder) for entry in entries_in(out)]
    assert sorted(found) == sorted(fine)
    for name, reason in broken.items():
        (line,) = [
            line
            for line in said.splitlines()
            if line.startswith(("image", "video")) and f"/{name} " in line
        ]
        assert reason in line
    assert f"{len(broken)} inputs failed" in said
    for name in ("moving.webp", "moving.gif", "moving.png"):
        assert f"{name}: only the first of its 2 frames is used" in said
    assert {path.name for path in out.rglob("*.*")} >= {
        Path(name).name for name in fine if not name.endswith(".gif")
    }
    # What was mended is done when it goes on, and nothing else is done again.
    before = (out / "cmyk.jpg").stat().st_mtime_ns
    write_image(folder / "cut.jpg", np.full((40, 60, 3), 90, np.uint8))
    assert detect(weights, out, folder, "--resume", *words) == 1
    assert f"{len(broken) - 1} inputs failed" in capsys.readouterr().out
    found = [os.path.relpath(entry["image"], folder) for entry in entries_in(out)]
    assert sorted(found) == sorted({*fine, "cut.jpg"})
    assert (out / "cmyk.jpg").stat().st_mtime_ns == before


def test_an_unreadable_folder_has_its_line(
    weights: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (photos / "locked").mkdir()
    scan = os.scandir

    def refuse(path: str) -> Any:  # noqa: ANN401 - even root is refused
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert detect(weights, tmp_path / "out", photos) == 1
    assert "locked cannot be opened: Permission denied" in capsys.readouterr().out
    assert len(entries_in(tmp_path / "out")) == 2


def test_a_list_of_paths(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.txt").write_text("photos/b.png\n\n# a comment\nphotos/none.png\nphotos\n")
    assert detect(weights, tmp_path / "out", tmp_path / "list.txt") == 1
    assert [Path(e["image"]).name for e in entries_in(tmp_path / "out")] == ["b.png", "a.png"]
    assert "none.png does not exist" in capsys.readouterr().out


def test_frames_that_change_their_size_are_written_in_the_first_ones(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [np.full((48, 64, 3), 40, np.uint8), np.full((100, 50, 3), 200, np.uint8)]

    changing = [Frame(image, number / 10) for number, image in enumerate(frames)]
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    writer.write(frames[0])
    writer.release()
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(VideoReader, "frames", lambda _: iter(changing))
        assert detect(weights, out, tmp_path / "a.avi", "--score=1") == 0
    assert [entry["size"] for entry in entries_in(out)] == [[48, 64], [100, 50]]
    with VideoReader(out / "a.mp4") as video:
        assert [frame.shape for frame in video] == [(48, 64, 3)] * 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.slow
def test_a_full_disk_is_one_line_and_what_is_done_stays(
    weights: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert detect(weights, out, photos) == 1
    said = capsys.readouterr().out
    assert said.count("No space left on device") >= 2
    assert entries_in(out) == []
    assert detect(weights, out, photos, "--resume") == 0
    assert len(entries_in(out)) == 2
    assert not (out / Journal.NAME).exists()


@pytest.mark.slow
def test_a_folder_in_constant_memory_and_resumed_after_kills(weights: Path, tmp_path: Path) -> None:
    """80 photographs of 7 MB decoded, killed twice; 2,000 in docs/experiments.md."""
    folder, out = tmp_path / "in", tmp_path / "out"
    count = 80
    write_image(folder / "0000.jpg", np.full((1200, 2000, 3), 90, np.uint8))
    for number in range(1, count):
        os.link(folder / "0000.jpg", folder / f"{number:04}.jpg")
        # Links to one file count as one: each gets a name of its own.
    names = sorted(path.name for path in folder.iterdir())
    words = (str(weights), str(folder), str(out), "--resume")
    for least in (8, 16):
        process = forking().Process(target=growth, args=words)
        process.start()
        deadline = time.monotonic() + 120
        while len(list(out.glob("*.jpg"))) < least and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
        process.join()
        # Enough are left for the bound below to be exceeded, if they were held at once.
        assert least <= len(list(out.glob("*.jpg"))) <= least + 36
    grown = result_of(growth, *words)
    assert [Path(entry["image"]).name for entry in entries_in(out)] == names
    assert sorted(path.name for path in out.glob("*.jpg")) == names
    assert grown < 150e6  # the 28 or more that were left would take .2 GB at once


@pytest.mark.slow
def test_without_weights_the_shipped_detector_knows_the_80_classes_of_coco(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A portrait of Grace Hopper in uniform: VOC has no tie."""
    photo = Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    out = tmp_path / "out"
    assert main(["detect", str(photo), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert re.match(r"1 person, 1 tie in 1 image; [.\d]+ images/s; results are in .*\n", said)
    (entry,) = entries_in(out)
    person, tie = entry["detections"]
    assert (person["label"], tie["label"]) == ("person", "tie")
    x0, y0, x1, y1 = person["box"]
    height, width = entry["size"]
    assert min(person["score"], tie["score"]) > 0.6
    assert (x1 - x0) * (y1 - y0) > 0.8 * height * width
    assert sorted(path.name for path in out.iterdir()) == ["detections.json", "grace_hopper.jpg"]
    assert len(Detector.load().names) == 80
    assert len(Detector.load("voc").names) == 20


@pytest.mark.slow
def test_resuming_takes_the_same_inputs(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "bad.png").touch()
    out = tmp_path / "out"
    assert detect(weights, out, photos) == 1
    assert detect(weights, out, photos / "a.png", photos / "bad.png", "--resume") == 2
    assert "b.png has results, but is not among the inputs now" in capsys.readouterr().err
    write_image(tmp_path / "other/a.png", np.zeros((9, 9, 3), np.uint8))
    assert detect(weights, out, tmp_path / "other", photos, "--resume") == 2
    assert "or its result would have another path" in capsys.readouterr().err
    assert detect(weights, out, photos, "--resume", "--score=0.7") == 2
    assert "other settings (score and classes)" in capsys.readouterr().err
    assert detect(weights, out, photos, "--resume", "--tiles=2") == 2
    assert "other settings (tiles)" in capsys.readouterr().err
    (photos / "bad.png").unlink()
    assert detect(weights, out, photos, "--resume") == 0
    assert len(entries_in(out)) == 2


def test_resuming_a_complete_run_looks_at_the_inputs(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = f"has no results of {photos / 'b.png'}; name another"
    unknown = "is complete, but has no detections.json with its inputs; name another"
    for number, (words, said) in enumerate(
        [(["--save=json"], other), (["--save=pictures,csv"], unknown)]
    ):
        out = tmp_path / f"out{number}"
        assert detect(weights, out, photos / "a.png", *words) == 0
        assert detect(weights, out, photos / "a.png", "--resume", *words) == 0
        assert "nothing is left to do" in capsys.readouterr().out
        assert detect(weights, out, photos / "b.png", "--resume", *words) == 2
        assert said in capsys.readouterr().err
        assert detect(weights, out, "/nowhere/none.jpg", "--resume", *words) == 2
        assert "none.jpg does not exist" in capsys.readouterr().err


def test_results_below_the_inputs_are_no_inputs(weights: Path, photos: Path) -> None:
    (photos / "bad.png").touch()
    for words in ([], ["--resume"]):
        assert detect(weights, photos / "found", photos, *words) == 1
        assert len(entries_in(photos / "found")) == 2


def test_a_cut_video_keeps_what_was_read_and_says_so(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "film.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for level in range(60):
        writer.write(np.full((48, 64, 3), 4 * level, np.uint8))
    writer.release()
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: len(data) // 3])
    out = tmp_path / "out"
    assert detect(weights, out, path, "--score=1") == 1
    assert "of its 60 frames could be read; what was read" in (capsys.readouterr().out)
    kept = entries_in(out)
    assert 2 < len(kept) < 40
    assert detect(weights, out, path, "--score=1", "--resume") == 1
    assert "of its 60 frames could be read; what was read" in (capsys.readouterr().out)
    assert entries_in(out) == kept
    Path(path).unlink()
    Path(path).touch()
    assert detect(weights, out, path, "--score=1", "--resume") == 1
    assert entries_in(out) == kept  # which is not lost where the next try finds less
    Path(path).write_bytes(data)
    assert detect(weights, out, path, "--score=1", "--resume") == 0
    assert len(entries_in(out)) == 60


@pytest.mark.parametrize(
    ("names", "number"), [(("a/1.png", "b/01.png"), "1"), (("a/x.mp4", "b/x.avi"), "x:0")]
)
def test_equal_coco_ids_are_refused_before_the_work(
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    names: Sequence[str],
    number: str,
) -> None:
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        (tmp_path / "in" / name).touch()
    assert detect(weights, tmp_path / "out", tmp_path / "in", "--save=coco") == 2
    assert f"have the same COCO id {number};" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def write_truth(path: Path, images: dict[str, int], names: Sequence[str] = NAMES) -> Path:
    """A file that lists images by their ids, and categories from 0."""
    content = {
        "images": [{"id": number, "file_name": name} for name, number in images.items()],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names)],
    }
    path.write_text(json.dumps(content))
    return path


def test_images_of_one_name_in_two_folders_have_the_ids_of_their_folders(
    weights: Path, tmp_path: Path
) -> None:
    for name in ("cam1/0001.jpg", "cam2/0001.jpg", "0002.jpg"):
        write_image(tmp_path / "in" / name, np.zeros((9, 9, 3), np.uint8))
    listed = {"x/cam1/0001.jpg": 11, "cam2\\0001.jpg": 22, "x/0002.jpg": 3, "0002.jpg": 4}
    path, out = write_truth(tmp_path / "truth.json", listed), tmp_path / "out"
    words = ("--save=json,coco", "--score=0.1", "--max=1", "--annotations", path)
    assert detect(weights, out, tmp_path / "in", *words) == 0
    ids = [row["image_id"] for row in json.loads((out / "coco_results.json").read_text())]
    found = [
        Path(entry["image"]).relative_to(tmp_path / "in").as_posix() for entry in entries_in(out)
    ]
    expected = {"0002.jpg": 4, "cam1/0001.jpg": 11, "cam2/0001.jpg": 22}
    assert ids == [expected[name] for name in found]
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ({"x/a.png": 5, "y/a.png": 6}, "2 images that"),
        ({"x/b.png": 5}, "is not among the images of"),
        ({"b.png": 5, "a.png": 5}, "expected each id once, found duplicates of 5"),
    ],
)
def test_images_that_annotations_do_not_tell_are_refused_before_the_work(
    weights: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    listed: dict[str, int],
    message: str,
) -> None:
    path, out = write_truth(tmp_path / "truth.json", listed), tmp_path / "out"
    assert detect(weights, out, photos / "a.png", "--save=coco", "--annotations", path) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    "content",
    ["[1]", '{"categories": [], "images": [{"id": [1], "file_name": "a"}]}', "[" * 10**5],
)
def test_annotations_of_another_form_are_refused(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    path = tmp_path / "truth.json"
    path.write_text(content)
    assert detect(weights, tmp_path / "out", photos, "--save=coco", "--annotations", path) == 2
    assert re.search(f"{re.escape(str(path))}(: images)?: expected", capsys.readouterr().err)


def test_annotations_need_the_classes_that_can_be_found_alone(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = (
        write_truth(tmp_path / "truth.json", {"a.png": 5, "b.png": 6}, ["cat"]),
        tmp_path / "o",
    )
    words = ("--save=coco", "--score=0.1", "--annotations", path)
    assert detect(weights, out, photos, *words) == 2
    assert "has no category named traffic light" in capsys.readouterr().err
    assert detect(weights, out, photos, *words, "--classes=cat") == 0
    results = json.loads((out / "coco_results.json").read_text())
    assert {row["category_id"] for row in results} == {0}


def test_a_film_has_no_id_among_images(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_truth(tmp_path / "truth.json", {"a.png": 5})
    with VideoWriter(tmp_path / "film.mp4", 10.0) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
    words = ("--save=coco", "--annotations", path)
    assert detect(weights, tmp_path / "out", tmp_path / "film.mp4", *words) == 2
    assert "film.mp4 is not among the images" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--classes=b, a"], {"b, a"}),
        (["--classes=b, a", "--classes=a"], {"b, a", "a"}),
        (["--classes=b,a"], {"b", "a"}),
    ],
)
def test_a_class_may_have_a_comma(
    photos: Path, tmp_path: Path, words: list[str], found: set[str]
) -> None:
    config = Config(model=ModelConfig(image_size=(128, 128), width_mult=0.25))
    path = tmp_path / "w.safetensors"
    save_weights(path, build_model(config.model, 3), config, ["a", "b", "b, a"], {})
    assert detect(path, tmp_path / "out", photos, "--score=0.1", "--max=300", *words) == 0
    labels = {d["label"] for entry in entries_in(tmp_path / "out") for d in entry["detections"]}
    assert labels == found


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
def test_without_a_display_nothing_is_shown(
    weights: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert detect(weights, tmp_path / "out", photos, "--show") == 2
    assert "--show cannot be used: there is no display" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--classes="], "--classes: expected names, found nothing"),
        (["--save="], "--save: expected some of pictures, json"),
        (["--save=png"], "labelme, found png"),
        (["--score=high"], "--score high: expected a number"),
        (["--count=line:0,0,1"], "--count line:0,0,1: expected line:x0,y0,x1,y1 or zone:"),
        (["--classes=cat", "--score", "traffic light=0.3"], "--classes leaves traffic light out"),
        (["--score=2"], "expected a number from 0 to 1, got 2"),
        (["--score=best"], "score best: the weights have no best thresholds"),
        (["--score=cat=best"], "score best: the weights have no best thresholds"),
    ],
)
def test_options_that_make_no_sense(
    weights: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    assert detect(weights, tmp_path / "out", photos, *words) == 2
    assert message in capsys.readouterr().err


def test_the_best_scores_are_those_of_the_weights(
    weights: Path, photos: Path, tmp_path: Path
) -> None:
    """Weights that learnt nothing are sure of nothing: a third of the scores is above a third."""
    saved = load_weights(weights)
    path = tmp_path / "best.safetensors"
    best = {"thresholds": {"cat": 0.0, "traffic light": 1.0}}
    save_weights(path, saved.model, saved.config, saved.names, best)
    for number, (words, names) in enumerate(
        [
            (["--score=best"], {"cat"}),
            (["--score=best", "--score", "traffic light=0"], set(NAMES)),
            (["--score=0", "--score=cat=best", "--classes=cat"], {"cat"}),
        ]
    ):
        out = tmp_path / f"out{number}"
        assert detect(path, out, photos, *words, "--save=json") == 0
        assert {d["label"] for e in entries_in(out) for d in e["detections"]} == names


@pytest.mark.slow
def test_suppression_can_be_chosen(learnt: Path, tmp_path: Path) -> None:
    for index in range(4):
        write_image(tmp_path / f"in/{index}.png", render_scene(0, index, (128, 128)))
    counts = []
    for number, words in enumerate([[], ["--class-agnostic"], ["--suppression=soft_nms"]]):
        out = tmp_path / f"out{number}"
        weights = learnt / "best.safetensors"
        assert detect(weights, out, tmp_path / "in", "--score=0.01", "--max=900", *words) == 0
        counts.append(sum(len(entry["detections"]) for entry in entries_in(out)))
    plain, agnostic, soft = counts
    assert 0 < agnostic < plain
    assert soft not in {plain, agnostic}
