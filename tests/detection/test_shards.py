"""``detect --shard`` and ``merge``: the files of one run, byte for byte, or one line."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_detect import detect, weights
from vision.choices import RESULTS
from vision.cli.main import main
from vision.detection import Journal
from vision.detection.shard_files import read_omissions
from vision.errors import DataError
from vision.media import VideoWriter, write_image

__all__ = ["weights"]

COUNT = 4
SAVED = "--save=json,coco,csv,parquet"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures, one of them damaged, a film, and a file that is neither."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(11):
        write_image(folder / f"{number}.png", rng.integers(0, 255, (40, 60, 3), np.uint8))
    (folder / "5.png").write_bytes(b"damaged")
    (folder / "notes.md").touch()
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes((folder / "0.png").read_bytes())
    with VideoWriter(folder / "film.mp4", 10.0) as writer:
        for level in (50, 150, 250):
            writer.write(np.full((48, 64, 3), level, np.uint8))
    return folder


@pytest.fixture(scope="module")
def shards(weights: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folders of all shards, of which the first was interrupted and continued."""
    folders = [tmp_path_factory.mktemp("shards") / str(number) for number in range(COUNT)]
    add, entries = Journal.add, []

    def interrupt(journal: Journal, entry: object) -> None:
        entries.append(entry)
        if len(entries) == 2:
            raise KeyboardInterrupt
        add(journal, entry)  # type: ignore[arg-type]

    for number, folder in enumerate(folders):
        words: tuple[object, ...] = (
            photos,
            SAVED,
            "--score=0.2",
            f"--shard={number}/{COUNT}",
            "--max=5",
            "--tiles=2",
        )
        if number == 0:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Journal, "add", interrupt)
                assert detect(weights, folder, *words) == 130
            assert main(["merge", str(folder), "--out", str(folder / "no")]) == 2
            words = (*words, "--resume")
        assert detect(weights, folder, *words) in {0, 1}
    return folders


def merge(out: Path, *words: object) -> int:
    return main(["merge", *map(str, words), "--out", str(out)])


@pytest.mark.slow
def test_shards_become_one_run_to_the_byte(
    weights: Path, photos: Path, shards: list[Path], tmp_path: Path
) -> None:
    one, merged = tmp_path / "one", tmp_path / "merged"
    assert detect(weights, one, photos, SAVED, "--score=0.2", "--max=5", "--tiles=2") == 1
    assert json.loads((one / RESULTS["json"]).read_text())["tiles"] == 2
    assert merge(merged, *reversed(shards)) == 1  # as the one run, for the damaged picture
    images = [entry["image"] for entry in json.loads((one / RESULTS["json"]).read_text())["images"]]
    assert len(set(images)) == 12
    for name in RESULTS.values():
        assert (merged / name).read_bytes() == (one / name).read_bytes()


def copy(shards: list[Path], folder: Path) -> list[Path]:
    return [Path(shutil.copytree(shard, folder / shard.name)) for shard in shards]


def change(file: str, old: str, new: str) -> Callable[[list[Path]], object]:
    def apply(folders: list[Path]) -> object:
        path = folders[1] / file
        text = path.read_text("utf-8")
        assert old in text
        return path.write_text(text.replace(old, new, 1), "utf-8")

    return apply


def test_shards_of_versions_that_counted_no_other_files_have_none(tmp_path: Path) -> None:
    path = tmp_path / RESULTS["json"]
    head = '{"format": "ssdlite-detections-2",\n"categories": [],\n"failures": ["a"],\n"skipped": 1'
    path.write_text(head + ',\n"capped": 2,\n"images": [\n]}\n')
    assert read_omissions(path) == {"failures": ["a"], "skipped": 1, "capped": 2, "others": 0}
    path.write_text(head + ',\n"images": [\n]}\n')
    with pytest.raises(DataError, match="its first lines are damaged"):
        read_omissions(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda folders: folders.pop(), "the run lacks shard 3/4; name the folders of all shards"),
        (lambda folders: folders.append(folders[0]), "are both shard 0/4"),
        (lambda folders: (folders[1] / "shard.json").unlink(), "has no shard.json"),
        (
            change("shard.json", '"score and classes": 0.2', '"score and classes": 0.3'),
            "(score and",
        ),
        (change("shard.json", '"weights": "', '"weights": "0'), "(weights)"),
        (change("shard.json", '"name": "cat"', '"name": "dog"'), "(categories)"),
        (change("shard.json", "1.png", "2.png"), "the inputs of"),
        (change("shard.json", '"number": 1', '"number": "x"'), "cannot be read"),
        (change("shard.json", '"total": 4', '"total": 0'), "shard.json cannot be read (total: "),
        (change("shard.json", '"total": 4', '"total": 1'), "there is no shard 1/1"),
        (change("shard.json", '"json", "coco"', '"json", "png"'), "(results.1: Input should be"),
        (change("shard.json", '"json", "coco"', '"json", "json"'), "results are named twice"),
        (change("shard.json", '"tiles": 2', '"tiles": [2]'), "shard.json cannot be read (settings"),
        (change("detections.json", '"score": ', '"score": 1'), "differs from what its run wrote"),
        (change("detections.json", "1.png", "2.png"), "differs from what its run wrote"),
        (change("detections.json", '"image"', '"damaged"'), "is damaged"),
        (change("coco_results.json", "{", "x{"), "differs from what its run wrote"),
        (change("coco_results.json", '"bbox": [', '"bbox": [0, '), "differs from what its run"),
    ],
)
def test_what_does_not_fit_is_one_line(
    shards: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[list[Path]], object],
    line: str,
) -> None:
    folders = copy(shards, tmp_path)
    damage(folders)
    capsys.readouterr()
    assert merge(tmp_path / "merged", *folders) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("text", ["4/4", "1", "-1/4", "a/b", "0/0"])
def test_a_shard_that_is_none_is_one_line(
    photos: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert detect(weights, tmp_path / "out", photos, f"--shard={text}") == 2
    assert "expected I/N with I from 0" in capsys.readouterr().err


@pytest.mark.slow
def test_more_shards_than_inputs(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [tmp_path / str(number) for number in range(3)]
    for number, folder in enumerate(folders):
        words = ("--save=json,coco", f"--shard={number}/3")
        assert detect(weights, folder, photos / "0.png", photos / "1.png", *words) == 0
    assert merge(tmp_path / "merged", *folders) == 0
    assert " of 3 shards; " in capsys.readouterr().out
    assert merge(tmp_path / "merged", *folders) == 2  # which replaces nothing unasked
    assert merge(folders[0], *folders, "--overwrite") == 2
    assert detect(weights, tmp_path / "one", photos / "0.png", "--save=json", "--shard=0/1") == 0
    assert merge(tmp_path / "single", tmp_path / "one") == 0
    assert " of 1 shard; " in capsys.readouterr().out
