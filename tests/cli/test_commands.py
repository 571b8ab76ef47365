"""What every command line has in common: help, suggestions, and one name for each option."""

import argparse
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from vision.choices import DOWNLOADS, GRAPH_BACKENDS, SOURCES, import_choice
from vision.cli.commands import COMMANDS, parse
from vision.cli.elsewhere import COMMANDS as ELSEWHERE
from vision.cli.elsewhere import INPUT, NOTES, OPTIONS
from vision.cli.main import main
from vision.cli.parser import Parser
from vision.config.messages import keys_named
from vision.data.download import DOWNLOADS as DATA
from vision.runtime import graph_backends
from vision.weights import SHIPPED

ROOT = Path(__file__).resolve().parents[2]
WITH_WEIGHTS = ("eval", "detect", "export", "benchmark", "info")
NEEDED = {"detect": ["photo.jpg"], "export": ["--to", "onnx"]}


def parser_of(command: str) -> Parser:
    parser = Parser(command, "", "")
    COMMANDS[command].add_arguments(parser)
    return parser


def options_of(command: str) -> dict[str, argparse.Action]:
    """The options that a help shows, by their names."""
    actions = parser_of(command)._actions
    shown = [action for action in actions if action.help != argparse.SUPPRESS]
    return {action.option_strings[-1]: action for action in shown if action.option_strings}


def said_by(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command line prints that ends while it is parsed."""
    with pytest.raises(SystemExit):
        main(words)
    captured = capsys.readouterr()
    return captured.out + captured.err


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_help_lists_one_command_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said_by(["--help"], capsys).splitlines()
    for name, command in COMMANDS.items():
        assert f"  {name:12} {command.summary}" in lines


def test_help_is_also_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["detect"]):
        assert said_by(["help", *words], capsys) == said_by([*words, "--help"], capsys)


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ssdlite {version('ssdlite')}\n"


def test_the_command_is_a_module_too() -> None:
    assert python("-m", "vision.cli", "--version").stdout == f"ssdlite {version('ssdlite')}\n"


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (["compare"], "A, B"),
        (["compare", "one"], "B"),
        (["average"], "FILE, --out"),
        (["average", "one"], "--out"),
        (["convert-data"], "IN, --to, --out"),
        (["export"], "--to"),
        (["convert"], "source, FILE, --out"),
    ],
)
def test_what_is_missing_is_named_and_nothing_else(
    words: list[str], missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said_by(words, capsys).endswith(f"arguments are required: {missing}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_has_an_example_that_parses_and_every_default(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = said_by([command, "--help"], capsys)
    assert f"example:\n  ssdlite {command} " in said
    name, *words = COMMANDS[command].example.split()
    assert name == command
    parse(command, words)
    shown = parser_of(command).format_help()
    for option, action in options_of(command).items():
        if action.nargs != 0 and not action.required:
            text = " ".join(shown.split(f"\n  {option} ")[1].split("\n  -")[0].split())
            assert "(default: " in text, option
            assert "None" not in text, option


def test_an_option_of_several_commands_means_the_same_in_all() -> None:
    for name in ("--weights", "--device", "--backend", "--out", "--overwrite", "--note", "--half"):
        actions = [options_of(command).get(name) for command in COMMANDS]
        found = [action for action in actions if action is not None]
        assert len(found) > 1
        assert len({(a.dest, a.type, a.nargs, type(a)) for a in found}) == 1
    assert all("--weights" in options_of(command) for command in WITH_WEIGHTS)
    writers = set(COMMANDS) - {
        "train",
        "priors",
        "info",
        "init",
        "push",
        "download",
        "convert-data",
    }
    assert all({"--out", "--overwrite"} <= set(options_of(command)) for command in writers)


@pytest.mark.parametrize("command", WITH_WEIGHTS)
def test_weights_are_named_alike_and_coco_by_default(command: str) -> None:
    words = NEEDED.get(command, [])
    assert parse(command, [*words, "--weights", "runs/a"]).weights == Path("runs/a")
    assert parse(command, words).weights == (None if command == "eval" else Path("coco"))


@pytest.mark.parametrize("command", ["eval", "export", "benchmark", "info"])
def test_bare_weights_are_still_weights(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = NEEDED.get(command, [])
    assert parse(command, ["runs/lr=0.1/best.onnx", *words]).weights == Path(
        "runs/lr=0.1/best.onnx"
    )
    for twice in (["w.onnx", "v.onnx"], ["w.onnx", "--weights", "v.onnx"]):
        with pytest.raises(SystemExit):
            parse(command, [*words, *twice])
        assert "expected one --weights" in capsys.readouterr().err
    if command != "info":
        options = parse(command, ["data.val.root=a", *words, "w.onnx", "data.val={format: voc}"])
        assert options.weights == Path("w.onnx")
        assert options.overrides == ["data.val.root=a", "data.val={format: voc}"]


def test_the_old_name_of_the_fractions_is_hidden() -> None:
    text = parser_of("average").format_help()
    assert "--fractions" in text
    assert "--shares" not in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "ssdlite: error: there is no command trian; did you mean train?"),
        (["zzz"], "there is no command zzz; there are train, eval, compare, detect"),
        ([], "ssdlite: error: a command is missing"),
        (
            ["eval", "--wieghts", "coco"],
            "ssdlite eval: error: there is no option --wieghts; did you mean --weights?",
        ),
        (["eval", "--anotations=x"], "no option --anotations; did you mean --annotations?"),
        (["train", "--config", "a", "--epochs", "5"], "--epochs; did you mean train.epochs=5?"),
        (["train", "--config", "a", "--lr=0.1"], "--lr; did you mean optim.lr=0.1?"),
        (["train", "--config", "a", "--batch-size", "5"], "did you mean train.batch_size=5?"),
        (
            ["train", "--data", "a", "--batch", "5"],
            "no option --batch; did you mean train.batch_size=5?",
        ),
        (["train", "--data", "a", "--imgsz", "320"], "did you mean model.image_size=320?"),
        (["train", "--data", "a", "--device", "0"], "did you mean train.device=0?"),
        (["train", "--data", "a", "--epochs"], "did you mean train.epochs=VALUE?"),
        (["train", "--data", "a", "--model", "voc"], "did you mean model.init=voc?"),
        (["detect", "--source", "photos/"], "--source; did you mean ssdlite detect photos/?"),
        (["detect", "--source", "rtsp://a:secret@b/"], "did you mean ssdlite detect INPUT?"),
        (["detect", "a.jpg", "--conf", "0.5"], "no option --conf; did you mean --score 0.5?"),
        (["detect", "a.jpg", "--conf=0.5"], "no option --conf; did you mean --score 0.5?"),
        (["detect", "a.jpg", "--half"], "no option --half; did you mean --precision fp16?"),
        (["detect", "a.jpg", "--exist-ok", "b"], "--exist-ok; did you mean --overwrite?"),
        (["eval", "--conf", "0.5"], "did you mean model.postprocess.score_threshold=0.5?"),
        (["export", "--to", "onnx", "--model", "voc"], "did you mean --weights voc?"),
        (["export", "--format", "onnx"], "no option --format; did you mean --to onnx?"),
        (["detect", "--source=a.jpg"], "--source; did you mean ssdlite detect a.jpg?"),
        (["train", "photos"], "or a configuration with --config; did you mean --data photos?"),
        (["check", "data=photos"], "did you mean --data photos?"),
        (
            ["detect", "a.jpg", "--iou", "0.7"],
            "--iou: the IoU of suppression is in the weights; in",
        ),
        (["eval", "--iou-thres", "0.7"], "did you mean model.postprocess.nms_iou=0.7?"),
        (["detect", "a.jpg", "--img_size=640"], "--img_size: images are resized to what the"),
        (["eval", "--imgsz", "640"], "no option --imgsz: images are resized to what the weights"),
        (["detect", "a.jpg", "--save-txt"], "no option --save-txt; did you mean --save yolo?"),
        (["detect", "a.jpg", "--save-conf"], "no option --save-conf: all results have the scores"),
        (["train", "--dataset", "MINE"], "no option --dataset; did you mean --data MINE?"),
        (["detect", "source=a.jpg", "conf=0.5"], "did you mean ssdlite detect a.jpg?"),
        (["help", "trian"], "there is no command trian; did you mean train?"),
        (["predict", "a.jpg"], "there is no command predict; did you mean detect?"),
        (["val"], "there is no command val; did you mean eval?"),
        (["info", "--zzz"], "there is no option --zzz; there are --help, --weights"),
        (["info", "coco", "data.val=null"], "info takes weights only"),
    ],
)
def test_what_is_not_there_gets_a_suggestion(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_what_is_suggested_for_other_tools_words_exists() -> None:
    assert set(ELSEWHERE.values()) <= set(COMMANDS)
    assert not set(ELSEWHERE) & set(COMMANDS)
    options = {option for command in COMMANDS for option in options_of(command)}
    assert not set(NOTES) & options
    for name, all_ours in OPTIONS.items():
        for ours in all_ours:
            if ours.endswith("="):
                assert ours[:-1] in keys_named(ours[:-1].split(".")[-1]), name
            elif ours != INPUT:
                assert ours.split()[0] in options, name


def test_the_tables_of_the_command_line_are_those_of_the_code() -> None:
    assert [import_choice(place).name for place in SOURCES.values()] == list(SOURCES)
    assert list(DATA) == list(DOWNLOADS)
    assert all(path.is_file() for path in SHIPPED.values())
    assert list(graph_backends()) == list(GRAPH_BACKENDS)


def test_no_parser_imports_pytorch() -> None:
    code = (
        "import sys\n"
        "from vision.cli.commands import COMMANDS, parse\n"
        "from vision.cli.parser import Parser\n"
        "for command in COMMANDS.values():\n"
        "    command.add_arguments(Parser('x', '', ''))\n"
        "parse('eval', ['--weights', 'w', 'data.val.root=x'])\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} - sys.stdlib_module_names))"
    )
    done = python("-S", "-c", code)
    assert done.stdout == "['__main__', 'vision']\n", done.stderr


@pytest.mark.parametrize("number", ["0", "-1", "9" * 20, "9" * 5000, "1e3", "\u00b2"])
@pytest.mark.parametrize("option", ["--threads", "--workers", "--batch", "--stride", "--max"])
def test_numbers_have_both_ends(
    option: str, number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = said_by(["detect", "a.jpg", f"{option}={number}"], capsys)
    assert f"argument {option}: expected an integer from 1 to " in said
    assert len(said.splitlines()[-1]) < 150


def test_threads_are_no_more_than_openmp_takes(capsys: pytest.CaptureFixture[str]) -> None:
    said = said_by(["detect", "a.jpg", "--threads=100000"], capsys)
    assert "expected an integer from 1 to 1,024, got 100000" in said
