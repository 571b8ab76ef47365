"""The journal of a run: what is kept through a kill, and what is not."""

from pathlib import Path

import pytest

from vision.detection import Journal
from vision.errors import ConfigError, DataError

SETTINGS = {"weights": ["w", 1], "score": None}


def fill(journal: Journal, *names: str) -> None:
    for name in names:
        journal.start(name)
        journal.add({"image": name, "detections": []})
        journal.finish(name, f"{name}.jpg")


def images(journal: Journal, *names: str) -> list[str]:
    return [entry["image"] for entry in journal.entries(names)]


def test_entries_come_in_the_order_asked_for(tmp_path: Path) -> None:
    with Journal(tmp_path / "new", SETTINGS, resume=False) as journal:
        fill(journal, "b", "a", "ü\ud800\n")
        assert images(journal, "a", "b", "c", "ü\ud800\n") == ["a", "b", "ü\ud800\n"]
        assert "a" in journal
        assert "c" not in journal


def test_what_is_done_outlasts_a_kill_and_what_is_begun_does_not(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SETTINGS, resume=False)
    fill(journal, "a", "b")
    journal.start("film")
    journal.add({"image": "film", "frame": 0, "detections": []})
    journal.close()
    with Journal(tmp_path, SETTINGS, resume=True) as again:
        assert "film" not in again
        again.start("film")
        again.add({"image": "film", "frame": 0, "detections": [1]})
        again.finish("film", "film.mp4")
        assert [e["detections"] for e in again.entries(["film"])] == [[1]]
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


def test_a_journal_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / Journal.NAME).write_text("{}\n")
    with pytest.raises(ConfigError, match="is damaged; remove it"):
        Journal(tmp_path, SETTINGS, resume=True)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be used"):
        Journal(tmp_path / "file" / "x", SETTINGS, resume=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    (tmp_path / Journal.NAME).symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"No space left on device.*--resume"):
        Journal(tmp_path, SETTINGS, resume=False)
