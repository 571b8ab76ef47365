"""What commands write: results as JSON, less with ``--quiet``, colours, and what to do next."""

import io
import json
import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from tests.check import corpus
from tests.cli.test_eval import write_files
from tests.cli.test_train import error_line
from tests.formats import layouts
from tests.report.samples import analysis
from tests.runs import write_run_config
from vision.cli.commands import COMMANDS, parse
from vision.cli.detected import conclude
from vision.cli.main import main
from vision.cli.printing import HarmlessStream
from vision.cli.terminal import paint, paint_lines, paint_table
from vision.config import load_config
from vision.config.yaml12 import parse_yaml
from vision.detection import Report
from vision.media import write_image
from vision.report import commands_for, next_steps

PORTRAIT = Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def weights(weights: Path) -> str:
    return str(weights)


def check_pasted(commands: Sequence[str]) -> None:
    """Each command is one of ours, and its words parse."""
    assert commands
    for line in commands:
        program, command, *words = shlex.split(line)
        assert program == "ssdlite"
        parse(command, words)


def steps_in(said: str) -> list[str]:
    """The commands that what a command printed ends with."""
    _, _, steps = said.rpartition("\nnext:\n")
    return [line.strip() for line in steps.splitlines() if line.startswith("    ")]


def test_a_result_is_one_json_object(
    weights: str, clean: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    write_image(tmp_path / "a.png", np.full((40, 60, 3), 90, np.uint8))
    inputs = [str(tmp_path / "a.png"), "--score", "0.9"]
    values = {}
    for command, words in (
        ("info", ["--weights", weights]),
        ("eval", [*write_files(tmp_path), "--out", str(tmp_path / "eval")]),
        ("check", ["--data", clean, "--out", str(tmp_path / "check")]),
        ("detect", [*inputs, "--weights", weights, "--out", str(out)]),
    ):
        assert main([command, *words, "--json"]) == 0
        values[command] = json.loads(capsys.readouterr().out)
        check_pasted([step["command"] for step in values[command].pop("next")])
    assert values["info"]["kind"] == "detector"
    assert values["info"]["classes"] == ["cat", "dog"]
    assert values["info"]["image_size"] == [128, 128]
    assert values["eval"] == json.loads((tmp_path / "eval" / "metrics.json").read_text("utf-8"))
    assert values["check"] == json.loads((tmp_path / "check" / "check.json").read_text("utf-8"))
    found = values["detect"]
    assert (found["inputs"], found["failures"], found["resumed"]) == ({"image": 1}, [], 0)
    assert found["files"] == [str(out / "detections.json")]
    assert found["objects"] == sum(found["classes"].values())


def test_json_of_what_fails_is_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--weights", str(tmp_path / "none"), "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ssdlite info: error: weights ")


@pytest.mark.slow
def test_training_gives_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, out = write_run_config(tmp_path / "small.yaml"), tmp_path / "run"
    assert main(["train", "--config", config, "--out", str(out), "train.epochs=1", "--json"]) == 0
    captured = capsys.readouterr()
    values = json.loads(captured.out)
    assert "epoch 1/1: loss" in captured.err
    assert (
        values["metrics"]["voc"]["mAP50"]
        == json.loads((out / "metrics.json").read_text())["voc"]["mAP50"]
    )
    assert values["report"] == str(out / "report.html")
    assert len(values["next"]) == 3
    check_pasted([step["command"] for step in values["next"]])


def test_quiet_leaves_the_result(clean: str, capsys: pytest.CaptureFixture[str]) -> None:
    level = logging.root.manager.disable
    assert main(["check", "--data", clean, "-q"]) == 0
    captured = capsys.readouterr()
    assert "train: 12 images" in captured.out
    assert "next:" not in captured.out
    assert logging.root.manager.disable == level
    assert main(["check", "--data", clean, "-q", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["errors"] == 0
    assert captured.err == ""


@pytest.mark.slow
def test_each_end_says_what_to_do_next(
    weights: str, clean: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty, mine = str(corpus.faulty(tmp_path / "faulty").write()), str(tmp_path / "it's mine")
    photos = tmp_path / "photos"
    write_image(photos / "a.png", np.full((40, 60, 3), 90, np.uint8))
    (photos / "b.png").touch()
    detect = ["--weights", weights, "--out"]
    for command, words, code, expected in (
        ("check", ["--data", clean], 0, f"train --data {clean}"),
        ("check", ["--data", faulty], 1, f"check --data {faulty} --fix {faulty}-repaired"),
        ("check", ["--data", faulty, "--fix", mine], 1, f"train --data {shlex.quote(mine)}"),
        ("info", ["--weights", weights], 0, f"eval --weights {weights} --data MINE"),
        ("eval", write_files(tmp_path), 0, "--report"),
        ("convert-data", [clean, "--to", "voc", "--out", str(tmp_path / "voc")], 0, "train"),
        ("average", [weights, weights, "--out", str(tmp_path / "m.safetensors")], 0, "eval"),
        ("detect", [str(photos / "a.png"), *detect, str(tmp_path / "0"), "--score", "1"], 0, "0.2"),
        ("detect", [str(photos), *detect, str(tmp_path / "1")], 1, "--resume"),
        (
            "detect",
            [str(photos / "a.png"), *detect, str(tmp_path / "2"), "--score", "0"],
            0,
            f"eval --weights {weights} --data MINE --report",
        ),
    ):
        assert main([command, *words]) == code, command
        steps = steps_in(capsys.readouterr().out)
        assert any(expected in step for step in steps), (command, steps)
        check_pasted(steps)


def test_a_repaired_copy_is_proposed_only_where_it_repairs_something(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layouts.labelimg_yolo(tmp_path / "few", {"all": [f"img{number}" for number in range(4)]})
    assert main(["check", "--data", str(tmp_path / "few")]) == 0
    said = capsys.readouterr().out
    assert "note: class with few boxes" in said
    steps = steps_in(said)
    assert steps[-1] == f"ssdlite train --data {tmp_path / 'few'}"
    assert not any("--fix" in step for step in steps)


def test_init_proposes_to_repair_data_that_training_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty = str(corpus.faulty(tmp_path / "faulty").write())
    folder = str(tmp_path / "mine")
    assert main(["init", folder, "--data", faulty]) == 0
    steps = steps_in(capsys.readouterr().out)
    check_pasted(steps)
    assert f"ssdlite check --data {faulty} --fix {faulty}-repaired" in steps
    assert steps[-1] == f"ssdlite init {folder} --data {faulty}-repaired --overwrite"


def test_the_line_to_try_again_is_the_command_that_was_run(
    weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--resume`` needs the same settings."""
    photos, out = tmp_path / "photos", str(tmp_path / "out")
    write_image(photos / "a.png", np.full((40, 60, 3), 90, np.uint8))
    write_image(photos / "b.png", np.full((40, 60, 3), 90, np.uint8))
    content = (photos / "b.png").read_bytes()
    (photos / "b.png").write_bytes(b"broken")
    words = ["detect", str(photos), "--weights", weights, "--out", out]
    words += ["--score", "0.05", "--classes", "cat", "--max", "3", "--save", "json,csv"]
    assert main([*words, "--overwrite"]) == 1
    said = capsys.readouterr().out
    assert "\n1 input failed" in said
    (again,) = steps_in(said)
    (photos / "b.png").write_bytes(content)
    assert main(shlex.split(again)[1:]) == 0
    assert "1 input done before" in capsys.readouterr().out
    assert main([*words, "--resume", "--json", "-q"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values == {"out": out, "resumed": 2, "failures": [], "next": []}


@pytest.mark.parametrize(
    ("scores", "is_proposed"),
    [
        ([], True),
        (["--score", "best"], True),
        (["--score", "0.3"], True),
        (["--score=0.3", "--resume"], True),
        (["--score", "0.2"], False),
        (["--score", "0.1", "--score", "cat=0.15"], False),
        (["--score", "0.1", "--score", "cat=0.9"], True),
    ],
)
def test_a_lower_score_is_proposed_where_one_is_above_it(
    scores: list[str], *, is_proposed: bool
) -> None:
    options = parse("detect", ["a.png", "rtsp://me:secret@host/1", *scores, "--max", "3"])
    options.given_weights = options.weights
    steps = conclude(Report(), options, ["json"], 1.0).steps
    (line,) = [step.command for step in steps]
    check_pasted([line])
    again = "ssdlite detect a.png INPUT --max 3 --score=0.2 --overwrite"
    assert line == (again if is_proposed else "ssdlite train --data MINE")


def test_the_first_detection_names_what_it_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["detect", str(PORTRAIT), "--score", "person=0.4"]) == 0
    said = capsys.readouterr().out
    assert re.search(
        r"^1 person.* in 1 image; [\d.]+ images/s; results are in out$", said, re.MULTILINE
    )
    assert steps_in(said) == ["ssdlite train --data MINE"]


def test_a_training_ends_with_its_advice(tmp_path: Path) -> None:
    commands = commands_for("run", (), tmp_path / "run", (320, 320))
    steps = next_steps(analysis(), commands)
    check_pasted([step.command or "" for step in steps])
    assert steps[0].text
    assert len({step.command for step in steps}) == len(steps)
    assert commands.detect in [step.command for step in steps[:3]]


def test_training_checks_the_data_of_a_folder_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = str(corpus.faulty(tmp_path / "faulty").write()), tmp_path / "run"
    assert main(["train", "--data", folder, "--out", str(out)]) == 2
    said = error_line(capsys)
    assert f"error: --data {folder} has errors: " in said
    assert "box without area 2" in said
    assert not out.exists()
    check_pasted([said[said.index("ssdlite check") : said.index(", or repair a copy")]])
    check_pasted([said[said.rindex("ssdlite check") :]])


@pytest.mark.slow
def test_training_counts_warnings_and_ends_with_three_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = corpus.clean(tmp_path / "data")
    made.image("train", "beyond.jpg")
    made.entry("train", "beyond.jpg", [("cat", [100, 50, 60, 30])])
    words = ["--config", write_run_config(tmp_path / "small.yaml"), "train.epochs=1"]
    folder, out = str(made.write()), tmp_path / "run"
    assert main(["train", "--data", folder, *words, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"\ncheck: box beyond the border 1; ssdlite check --data {folder} shows where\n" in (
        f"\n{said}"
    )
    assert re.search(r"training takes about .*: 1 epoch of \d+ steps of about .* s", said)
    steps = steps_in(said)
    assert len(steps) == 3
    check_pasted(steps)


def test_init_writes_a_configuration_to_start_from(
    clean: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "größe: #1"
    assert main(["init", str(folder), "--data", clean]) == 0
    said = capsys.readouterr().out
    file = folder / "train.yaml"
    assert f"{file}: 2 classes" in said
    steps = steps_in(said)
    check_pasted(steps)
    options = parse("train", shlex.split(steps[-1])[2:])
    data = [
        f'data.{key}={{"format": auto, root: "{clean}", split: {key}}}' for key in ("train", "val")
    ]
    assert load_config(options.config) == load_config("finetune", data)
    text = file.read_text(encoding="utf-8")
    assert "train: 12 images with 48 boxes, val: 13 images with 52 boxes" in text
    assert main(["init", str(folder), "--data", clean]) == 2
    assert "train.yaml exists; name another DIR, or pass --overwrite" in error_line(capsys)


def test_all_keys_that_init_proposes_can_be_set(clean: str, tmp_path: Path) -> None:
    assert main(["init", str(tmp_path), "--data", clean]) == 0
    head, body = (tmp_path / "train.yaml").read_text(encoding="utf-8").split("\n\n", 1)
    assert all(line.startswith("#") for line in head.splitlines())
    proposed = re.sub(r"^(\s*)# ", r"\1", body, flags=re.MULTILINE)
    (tmp_path / "all.yaml").write_text(proposed, encoding="utf-8")
    assert proposed.count("\n") == body.count("\n")
    assert len(str(parse_yaml(proposed))) > len(str(parse_yaml(body)))
    assert load_config(tmp_path / "all.yaml").data.classes == ["cat", "dog"]


def test_init_takes_the_data_of_its_own_folder(tmp_path: Path) -> None:
    folder = str(corpus.clean(tmp_path / "mine").write())
    assert main(["init", folder]) == 0
    source = load_config(Path(folder) / "train.yaml").data.train
    assert getattr(source, "root", None) == folder
    assert main(["check", "--config", f"{folder}/train.yaml"]) == 0


class Terminal(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.mark.parametrize(
    ("environment", "is_coloured"),
    [
        ({}, True),
        ({"NO_COLOR": ""}, True),
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    environment: dict[str, str], is_coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert paint("a", "error") == "a"
    monkeypatch.setattr(sys, "stdout", Terminal())
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (paint("a", "error") == "\033[1;31ma\033[0m") == is_coloured
    assert (paint_lines("error: b\nc") == "\033[1;31merror\033[0m: b\nc") == is_coloured
    assert (paint_table("a\nb\n\nc") == "\033[1ma\033[0m\nb\n\n\033[1mc\033[0m") == is_coloured


def test_errors_and_next_steps_are_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    out, error = Terminal(), Terminal()
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", error)
    assert main(["info", "--weights", "none.onnx"]) == 2
    assert error.getvalue().startswith("ssdlite info: \033[1;31merror:\033[0m weights none.onnx ")
    assert main(["info"]) == 0
    assert "\033[36mssdlite detect photos/ --weights coco\033[0m\n" in out.getvalue()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ssdlite pri", ["priors"]),
        ("ssdlite detect --sco", ["--score"]),
        ("ssdlite export --to o", ["onnx", "openvino"]),
        ("ssdlite ", sorted(COMMANDS)),
    ],
)
def test_a_shell_completes(line: str, expected: list[str], tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    environment = os.environ | {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "PYTHONPATH": str(ROOT),
    }
    code = "from vision.cli.main import main; main()"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)  # noqa: S603
    words = [word.strip() for word in answer.read_text(encoding="utf-8").splitlines()]
    assert sorted(set(words) - {"-h", "--help", "--version"}) == expected


def test_a_terminal_shows_our_colours_and_no_other_control_characters() -> None:
    terminal = Terminal()
    print("\033[1mcat\033[0m \033[2J\033]0;title\a", file=HarmlessStream(terminal))
    assert terminal.getvalue() == "\033[1mcat\033[0m \\x1b[2J\\x1b]0;title\\x07\n"
    file = io.StringIO()
    print("\033[1mcat", file=HarmlessStream(file))
    assert file.getvalue() == "\\x1b[1mcat\n"
