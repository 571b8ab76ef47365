"""One writer for a folder."""

import multiprocessing
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.runs import forking, run_config
from vision.cli.main import main
from vision.detection import Journal
from vision.engine import train
from vision.errors import ConfigError
from vision.locks import NAME, locked, reserved


def _hold(folder: Path, connection: Connection) -> None:
    with locked(folder):
        connection.send(os.getpid())
        connection.recv()


@contextmanager
def held_by_another(folder: Path) -> Iterator[int]:
    """The number of a process that holds the lock, and is killed at the end."""
    folder.mkdir(exist_ok=True)
    here, there = multiprocessing.Pipe()
    process = forking().Process(target=_hold, args=(folder, there))
    process.start()
    assert here.poll(60)
    yield here.recv()
    process.kill()
    process.join()


def test_a_second_process_is_refused_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    with held_by_another(tmp_path) as number:
        message = f"folder {tmp_path} is in use by process {number}"
        with pytest.raises(ConfigError, match=re.escape(message)), locked(tmp_path):
            pytest.fail("two processes work in it")
    assert (tmp_path / NAME).exists()  # It could not remove it.
    with locked(tmp_path):
        assert (tmp_path / NAME).read_text() == str(os.getpid())
    assert list(tmp_path.iterdir()) == []


def test_a_journal_is_written_by_one_process(tmp_path: Path) -> None:
    with Journal(tmp_path, {}, resume=False) as journal:
        journal.start("a")
        before = journal.path.read_bytes()
    with held_by_another(tmp_path):
        for resume in (False, True):
            with pytest.raises(ConfigError, match="is in use by process"):
                Journal(tmp_path, {}, resume=resume)
    assert journal.path.read_bytes() == before
    Journal(tmp_path, {}, resume=True).remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_folder_is_written_by_one_process(tmp_path: Path, resume: bool) -> None:
    with held_by_another(tmp_path), pytest.raises(ConfigError, match="is in use by process"):
        train(run_config("train.epochs=1"), tmp_path, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize(
    "words",
    [
        ["eval"],
        ["eval", "--report"],
        ["export", "--to=onnx"],
        ["benchmark"],
        ["compare", "coco", "coco"],
        ["check", "--data=nowhere"],
    ],
    ids=" ".join,
)
def test_a_folder_of_results_is_written_by_one_process(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    with held_by_another(folder) as number:
        assert main([*words, "--out", str(folder)]) == 2
        assert f"folder {folder} is in use by process {number}; " in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == [NAME]


def test_a_folder_that_was_made_and_got_nothing_is_removed(tmp_path: Path) -> None:
    with reserved(tmp_path / "a" / "b"):
        assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == [NAME]
    assert list(tmp_path.iterdir()) == []
    with reserved(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "result").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["result"]


def test_a_folder_whose_name_is_too_long_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"b{300} cannot be made: File name too long"),
        reserved(tmp_path / ("b" * 300)),
    ):
        pass
