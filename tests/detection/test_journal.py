"""The journal of a run: what is kept through a kill, and what is not."""

import os
from pathlib import Path

import pytest

from tests.disk import files_end_at
from vision.detection import Journal
from vision.detection.schema import Object
from vision.errors import ConfigError, DataError, VisionError
from vision.locks import NAME

FOUND: Object = {"label": "cat", "score": 0.5, "box": [0, 0, 1, 1]}
SETTINGS = {"weights": ["w", 1], "score": None}


def fill(journal: Journal, *names: str) -> None:
    for name in names:
        journal.start(name)
        journal.add({"image": name, "size": [1, 1], "detections": []})
        journal.finish(name, f"{name}.jpg")


def images(journal: Journal, *names: str) -> list[str]:
    return [entry["image"] for entry in journal.entries(names)]


def test_entries_come_in_the_order_asked_for(tmp_path: Path) -> None:
    with Journal(tmp_path / "new", SETTINGS, resume=False) as journal:
        fill(journal, "b", "a", "ü\ud800\n")
        assert images(journal, "a", "b", "c", "ü\ud800\n") == ["a", "b", "ü\ud800\n"]
        assert "a" in journal
        assert "c" not in journal


def test_what_is_done_and_what_is_begun_outlast_a_kill(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SETTINGS, resume=False)
    fill(journal, "a", "b")
    journal.start("film")
    journal.add({"image": "film", "frame": 0, "size": [1, 1], "detections": []})
    journal.close()
    with Journal(tmp_path, SETTINGS, resume=True) as again:
        assert "film" not in again
        assert images(again, "film") == ["film"]
        with pytest.raises(ConfigError, match="film has results, but is not among the inputs"):
            again.check({"a": "a.jpg", "b": "b.jpg"})
        again.check({"a": "a.jpg", "b": "b.jpg", "film": "film.mp4"})
        again.start("film")  # and is killed once more, before its first entry
    with Journal(tmp_path, SETTINGS, resume=True) as again:
        assert images(again, "film") == ["film"]
        again.start("film")
        again.add({"image": "film", "frame": 0, "size": [1, 1], "detections": [FOUND]})
        again.finish("film", "film.mp4")
        assert [e["detections"] for e in again.entries(["film"])] == [[FOUND]]
        assert images(again, "a", "b") == ["a", "b"]


@pytest.mark.parametrize("lost", range(1, 60, 3))
def test_a_journal_cut_anywhere_goes_on(tmp_path: Path, lost: int) -> None:
    with Journal(tmp_path, SETTINGS, resume=False) as journal:
        fill(journal, "a", "b")
        path = journal.path
    path.write_bytes(path.read_bytes()[:-lost])
    with Journal(tmp_path, SETTINGS, resume=True) as journal:
        assert "a" in journal
        assert "b" not in journal
        fill(journal, "b", "c")
    with Journal(tmp_path, SETTINGS, resume=True) as journal:
        assert images(journal, "a", "b", "c") == ["a", "b", "c"]


def test_other_settings_are_refused(tmp_path: Path) -> None:
    Journal(tmp_path, SETTINGS, resume=False).close()
    with pytest.raises(ConfigError, match=r"other settings \(score\); resume with the same"):
        Journal(tmp_path, SETTINGS | {"score": ["0.5"]}, resume=True)


@pytest.mark.parametrize(
    "line", ["{}", "[1]", '{"settings": "a.jpg"}', '{"settings": null}', "[" * 5000]
)
def test_a_journal_that_is_none_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / Journal.NAME).write_text(f"{line}\n")
    with pytest.raises(ConfigError, match="is damaged; remove it"):
        Journal(tmp_path, SETTINGS, resume=True)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be used"):
        Journal(tmp_path / "file" / "x", SETTINGS, resume=False)


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with files_end_at(10), pytest.raises(DataError, match=r"File too large.*--resume"):
        Journal(tmp_path, SETTINGS, resume=False)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", [Journal.NAME, NAME])
def test_a_link_leads_to_no_file_of_someone_else(tmp_path: Path, name: str, resume: bool) -> None:
    other = tmp_path / "precious.txt"
    other.write_text("precious", encoding="utf-8")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(other)
    with pytest.raises(VisionError, match=rf"{name} cannot be .*: it is a link.*remove"):
        Journal(tmp_path / "out", SETTINGS, resume=resume)
    assert other.read_text(encoding="utf-8") == "precious"
    assert (tmp_path / "out" / name).is_symlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", [Journal.NAME, NAME])
def test_a_named_pipe_is_not_waited_for(tmp_path: Path, name: str, resume: bool) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(VisionError, match=rf"{name} cannot be .*: it is not a regular file"):
        Journal(tmp_path, SETTINGS, resume=resume)


def test_what_broke_off_is_tried_again_and_kept_until_then(tmp_path: Path) -> None:
    with Journal(tmp_path, SETTINGS, resume=False) as journal:
        journal.start("film")
        journal.add({"image": "film", "frame": 0, "size": [1, 1], "detections": []})
        journal.finish("film", "film.mp4", complete=False)
    with Journal(tmp_path, SETTINGS, resume=True) as again:
        assert "film" not in again
        again.start("film")  # and it cannot be opened this time
        assert images(again, "film") == ["film"]
        fill(again, "film")
        assert "film" in again
        assert images(again, "film") == ["film"]


@pytest.mark.parametrize(
    "line",
    [
        b'{"done": "a", "place"',
        b'{"done": "a"}',
        b'{"done": 5, "place": "a.jpg"}',
        b'{"done": ' + b"[" * 100_000,
        b"\0" * 50,
        b"5",
        b'{"image": "a"}',
        b'{"image": "a", "detections": [{}]}',
        b'{"image": "a", "detections": 1',
        b"\xff\xfe",
    ],
    ids=lambda line: repr(line[:24]),
)
def test_a_damaged_line_is_one_line(tmp_path: Path, line: bytes) -> None:
    with Journal(tmp_path, SETTINGS, resume=False) as journal:
        fill(journal, "a")
        path = journal.path
    head, start, entry, end = path.read_bytes().splitlines()
    damaged = [head, start, line, end]
    path.write_bytes(b"\n".join(damaged) + b"\n")

    def read() -> None:
        with Journal(tmp_path, SETTINGS, resume=True) as journal:
            images(journal, "a")

    with pytest.raises(DataError, match=r"is damaged at the line .*; start again with --over") as e:
        read()
    assert len(str(e.value)) < 300 + len(str(path))
    path.write_bytes(b"\n".join([head, start, entry, end]) + b"\n")
    read()
