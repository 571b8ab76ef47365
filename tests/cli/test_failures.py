"""What no command expects: one line for files and memory, 70 for bugs, nothing for pipes."""

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import matplotlib as mpl
import pytest

from vision.cli.main import main

DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (PermissionError(13, "Permission denied", "locked/a"), 2, "locked/a: Permission denied"),
        (OSError(36, "File name too long", b"x" * 5000), 2, "File name too long"),
        (OSError("no codec"), 2, "no codec"),
        ("\ud800".encode, 2, "not UTF-8 text"),
        (RecursionError("maximum recursion depth"), 2, "nested too deeply"),
        (RuntimeError("operator torchvision::nms does not exist"), 2, "install both together"),
        (MemoryError(), 2, "memory or threads do not suffice (MemoryError)"),
        (RuntimeError("can't start new thread"), 2, "do not suffice (can't start new thread)"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 GB"),
            2,
            "memory or threads do not",
        ),
        (BrokenPipeError(32, "Broken pipe"), 141, None),
        (KeyError("of ours"), 70, "this is a bug"),
        (ModuleNotFoundError("No module named x", name="vision.x"), 70, "this is a bug"),
    ],
    ids=map(str, range(12)),
)
def test_each_kind_has_its_line_and_code(
    error: object,
    code: int,
    line: str | None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: str, __: Namespace) -> int:
        if callable(error):
            error()
        assert isinstance(error, Exception)
        raise error

    monkeypatch.setattr(sys.modules[main.__module__], "_run", fail)
    assert main(["info", "coco"]) == code
    said = capsys.readouterr().err
    assert ("Traceback" in said) == (code == 70)
    if line is None:
        assert said == ""
    else:
        assert line in said.splitlines()[-1]
        assert code == 70 or len(said.splitlines()) == 1
        assert code == 70 or len(said) < 500


@pytest.mark.parametrize(
    "words",
    [
        ["info", "x" * 5000],
        ["train", "--config", "x" * 300 + ".yaml", "--out", "run"],
        ["train", "--config", "deep.yaml", "--out", "run"],
        ["train", "--config", "quickstart", "--out", "run", "model.init=" + DEEP[:3000]],
        ["detect", "y" * 300 + ".txt", "--out", "out"],
        ["detect", "a.jpg", "--out", "z" * 300],
    ],
    ids=lambda words: f"{words[0]} {words[1][:8]} {words[-1][:14]}",
)
def test_hostile_names_and_depths_are_one_line(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("deep.yaml").write_text(f"a: {DEEP}", encoding="utf-8")
    assert main(words) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "Traceback" not in said
    if words[-1] == "z" * 300:
        assert said.strip().endswith(f"--out {words[-1]} cannot be used: File name too long")


def command(*words: str) -> list[str]:
    return [
        sys.executable,
        "-c",
        "import sys; from vision.cli.main import main; sys.exit(main())",
        *words,
    ]


def test_a_closed_pipe_is_quiet() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(  # noqa: S603
        command("info", "voc"), stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_output_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(  # noqa: S603
            command("info", "voc"), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["ssdlite info: error: No space left on device"]


@pytest.mark.slow
def test_a_missing_standard_error_is_no_error(tmp_path: Path) -> None:
    picture = Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    done = subprocess.run(  # noqa: S603
        [
            "/bin/sh",
            "-c",
            '"$@" 2>&-',
            "sh",
            *command("detect", str(picture), "--out", str(tmp_path / "o")),
        ],
        check=False,
        stdout=subprocess.DEVNULL,
    )
    assert done.returncode == 0
    assert (tmp_path / "o/detections.json").is_file()
