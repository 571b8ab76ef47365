"""A file system that fills up while a command writes: one line, nothing half, and it goes on."""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.cli.test_interrupted import words_of
from tests.disk import make_room, mount_small_disk
from tests.runs import forking, write_run_config
from vision.cli.main import main
from vision.media import write_image

PAGE = 4096
PLENTY = 2**26
NO_MOUNT = 77
"""Exit code of a process that may not mount a file system."""
ROOM = {"average": 2**16, "eval": PAGE, "detect": 2**16, "train": 2**20}
"""Bytes of the file system: of all that the command writes, some fits."""


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def run_on_a_small_disk(words: list[str], again: str, room: int, folder: Path) -> None:
    """Run a command on a disk that fills up, and again on a larger one; for its own process."""
    torch.set_num_threads(1)
    disk, rows = folder / "out", list[dict[str, Any]]()
    try:
        mount_small_disk(disk, room)
    except OSError:
        sys.exit(NO_MOUNT)
    for more in ([], [again]):
        said, errors = io.StringIO(), io.StringIO()
        with redirect_stdout(said), redirect_stderr(errors):
            code = main([*words, *more])
        rows.append({"code": code, "err": errors.getvalue(), "files": _names(disk)})
        make_room(disk, PLENTY)
    entries = disk / "detections.json"
    if entries.exists():
        rows[-1]["images"] = len(json.loads(entries.read_text("utf-8"))["images"])
    (folder / "said.json").write_text(json.dumps(rows), encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("command", ROOM)
def test_a_disk_that_fills_up(weights: Path, tmp_path: Path, command: str) -> None:
    out, again = tmp_path / "out", "--resume"
    if command == "detect":
        for index in range(30):
            photo = np.full((40, 60, 3), 90, np.uint8)
            write_image(tmp_path / "photos" / f"{index:02}.png", photo)
        photos = str(tmp_path / "photos")
        words = ["detect", photos, "--weights", str(weights), "--out", str(out), "--workers=1"]
    elif command == "train":
        config = write_run_config(tmp_path / "c.yaml", "train.epochs=1", "data.val=null")
        words = ["train", "--config", config, "--out", str(out)]
    else:
        words, again = [*map(str, words_of(command, weights, tmp_path))], "--overwrite"
    out.mkdir(exist_ok=True)
    process = forking().Process(
        target=run_on_a_small_disk, args=(words, again, ROOM[command], tmp_path)
    )
    process.start()
    process.join()
    if process.exitcode == NO_MOUNT:
        pytest.skip("no file system can be mounted here")
    assert process.exitcode == 0
    full, roomy = json.loads((tmp_path / "said.json").read_text("utf-8"))
    assert full["code"] == 2
    assert full["err"].count("\n") == 1
    assert "No space left on device" in full["err"]
    assert not any(".partial" in name for name in full["files"])
    assert (roomy["code"], roomy["err"]) == (0, "")
    if command == "detect":
        assert roomy["images"] == 30
        assert roomy["files"] == [*(f"{index:02}.png" for index in range(30)), "detections.json"]
