"""What no command expects: one line for files and memory, 70 for bugs, nothing for pipes."""

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from tests.formats.builders import voc_xml, write_voc
from tests.permissions import heeded_permissions
from tests.runs import command_with, exit_code, write_run_config
from vision.cli.main import main
from vision.media import write_image

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
        (MemoryError(), 2, "not enough memory or threads (MemoryError)"),
        (RuntimeError("can't start new thread"), 2, "or threads (can't start new thread)"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 GB"),
            2,
            "not enough memory or threads (Def",
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


@pytest.mark.parametrize(
    "line",
    [
        "info locked/w.safetensors",
        "info locked/run",
        "detect a.jpg --out out --weights locked/w.onnx",
        "detect a.jpg --out locked/out",
        "detect locked --out out",
        "detect locked/*.jpg --out out",
        "detect locked/list.txt --out out",
        "detect a.jpg --out out --save coco --annotations locked/a.json",
        "train --config locked/c.yaml --out run",
        "train --config base.yaml --out run",
        "train --config quickstart --out locked/run",
        "train --config quickstart --out run model.init=locked/w.safetensors",
        "train --data locked --out run",
        "train --config voc --out run data.train.root=voc data.val=null",
        "eval --detections locked/d.json --annotations locked/a.json --out out",
        "eval --weights locked/run --out out",
        "check --data locked",
        "convert torchvision locked/w.pth --out w.safetensors",
        "convert tensorflow locked/model.ckpt --out w.safetensors",
        "convert-data locked --to voc --out out",
        "average locked/a.safetensors locked/b.safetensors --out w.safetensors",
        "merge locked --out out",
        "compare locked/a locked/b --out out",
        "export --weights locked/w.safetensors --to onnx --out out",
        "priors --config locked/c.yaml",
        "download voc2007 --root locked/voc",
    ],
)
def test_what_may_not_be_opened_is_one_line(
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text("_base_: locked/c.yaml\n", encoding="utf-8")
    write_image("a.jpg", np.zeros((8, 8, 3), np.uint8))
    locked = [Path("locked"), write_voc(Path("voc"), {"a": voc_xml()}) / "JPEGImages"]
    for folder in locked:
        folder.mkdir(exist_ok=True)
        folder.chmod(0)
    with heeded_permissions():
        code = main(line.split())
    for folder in locked:
        folder.chmod(0o700)
    said = capsys.readouterr().err
    assert (code, len(said.splitlines()), "Traceback" in said) == (2, 1, False), said
    assert "Permission denied" in said


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")


@needs_full
@pytest.mark.parametrize(
    ("stdout", "code", "said"), [("|", 141, ""), ("/dev/full", 2, "No space left on device")]
)
def test_a_result_that_cannot_be_printed(tmp_path: Path, stdout: str, code: int, said: str) -> None:
    errors = tmp_path / "errors"
    assert exit_code(command_with, ["info", "voc"], stdout, str(errors)) == code
    assert errors.read_text("utf-8") == (f"ssdlite info: error: {said}\n" if said else "")


@pytest.mark.slow
def test_an_interpreter_that_ends_has_nothing_left_to_flush_into_a_closed_pipe() -> None:
    """It would end with 120 and a message."""
    read, write = os.pipe()
    os.close(read)
    code = "import sys; from vision.cli.main import main; sys.exit(main(['info', 'voc']))"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.slow
@needs_full
@pytest.mark.parametrize(
    ("stdout", "code", "said"),
    [("|", 141, ""), ("/dev/full", 2, "No space left on device"), (os.devnull, 0, None)],
)
def test_a_training_is_complete_whoever_reads_what_it_prints(
    tmp_path: Path, stdout: str, code: int, said: str | None
) -> None:
    """The last has no standard error."""
    config, out = write_run_config(tmp_path / "c.yaml", "train.epochs=1"), tmp_path / "run"
    words = ["train", "--config", config, "--out", str(out)]
    errors = tmp_path / "errors"
    assert exit_code(command_with, words, stdout, None if said is None else str(errors)) == code
    if said is not None:
        assert errors.read_text("utf-8") == (f"ssdlite train: error: {said}\n" if said else "")
    assert {"best.safetensors", "metrics.json", "report.html"} <= {p.name for p in out.iterdir()}


@pytest.mark.slow
def test_a_missing_standard_error_is_no_error(tmp_path: Path) -> None:
    picture = Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    words = ["detect", str(picture), "--out", str(tmp_path / "o")]
    assert exit_code(command_with, words, os.devnull, None) == 0
    assert (tmp_path / "o/detections.json").is_file()
