"""The package as it is installed, the three scripts, and what the README tells to type."""

import argparse
import ast
import os
import re
import runpy
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from inspect import isclass, isroutine
from pathlib import Path

import pytest

import vision
import vision.api
import vision.detector
import vision.structures
from tests.runs import exit_code, run_config
from vision.cli.commands import COMMANDS
from vision.cli.main import main
from vision.config import Config, load_config, name_data, shipped_configs
from vision.engine import train

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").rglob("*.md")))
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELLS = {"", "sh", "bash", "console"}
INLINE = re.compile(r"`((?:python|ssdlite) [^`]+)`")
ASSIGNMENTS = re.compile(r"^(?:[A-Z_]+=\S+ +)*")
STEP = re.compile(r"^ *- run: (\"?)(.*)\1$", re.MULTILINE)
SCRIPT = re.compile(r"(?:\./)?(train|eval|detect)\.py")
OPTIONAL = re.compile(r"(?<!\S)\[(.*?)\](?!\S)")
PLACEHOLDER = re.compile(r"[A-Z]+")


class ParsedError(Exception):
    """Ends a command as soon as its words are parsed."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__()
        self.options = options


def readme_commands(text: str) -> list[list[str]]:
    """Each command of ours: its name, then its words.

    Those in fenced blocks count, and in a line of text those of three words or more. A synopsis
    such as ``--config F [key=value ...]`` counts with all its options.
    """
    shown = "".join(block for language, block in FENCED.findall(text) if language in SHELLS)
    lines = shown.replace("\\\n", " ").splitlines()
    lines += [span for span in INLINE.findall(FENCED.sub("", text)) if len(span.split()) > 2]
    parts = [part for line in lines for part in line.removeprefix("$ ").split("&&")]
    return [command for part in parts if (command := command_in(part))]


def command_in(text: str) -> list[str]:
    """The name and the words of a command of ours, run by itself or by torchrun; else nothing."""
    plain = OPTIONAL.sub(r"\1", ASSIGNMENTS.sub("", text.strip())).replace("...", "")
    words = shlex.split(plain, comments=True)
    if words[:1] == ["ssdlite"]:
        return [] if words[1].startswith("-") else words[1:]
    if words[:1] not in (["python"], ["torchrun"]):
        return []
    scripts = [index for index, word in enumerate(words) if SCRIPT.fullmatch(word)]
    return [Path(words[scripts[0]]).stem, *words[scripts[0] + 1 :]] if scripts else []


def parsed(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    """What the command itself makes of its words, without doing it."""
    for name in ("parse_args", "parse_intermixed_args"):
        really = getattr(argparse.ArgumentParser, name)

        def only_parse(
            parser: argparse.ArgumentParser,
            argv: Sequence[str] | None = None,
            really: Callable[..., argparse.Namespace] = really,
        ) -> argparse.Namespace:
            options = really(parser, argv)
            if parser.prog == "ssdlite":  # finds the command alone
                return options
            raise ParsedError(options)

        monkeypatch.setattr(argparse.ArgumentParser, name, only_parse)
    with pytest.raises(ParsedError) as caught:
        main(words)
    return caught.value.options


def run_python(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder."""
    return subprocess.run(  # noqa: S603
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def workflow_commands() -> list[list[str]]:
    """Each command of ours that is a step of a workflow."""
    texts = [path.read_text("utf-8") for path in (ROOT / ".github" / "workflows").glob("*.yml")]
    steps = [step for text in sorted(texts) for _, step in STEP.findall(text)]
    return [command for step in steps if (command := command_in(step))]


@pytest.mark.parametrize(
    "words", readme_commands(README + DOCS) + workflow_commands(), ids=" ".join
)
def test_the_readmes_commands_are_understood(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    options = parsed(words, monkeypatch)
    if words[0] not in {"train", "eval"}:
        return
    config = options.config or "voc"
    if PLACEHOLDER.fullmatch(config):
        config = "voc"
    # A synopsis' key=value stands for any.
    given = [word for word in options.overrides if word != "key=value"]
    given = [*name_data(options.data), *given]
    assert load_config(config, given).data.train is not None


def test_the_readme_and_the_docs_show_each_command() -> None:
    assert {words[0] for words in readme_commands(README + DOCS)} == set(COMMANDS)


def test_commands_are_found_in_whatever_fence() -> None:
    text = (
        "```\npip install x && python train.py --config a [k=v ...] [--resume]  # two\n```\n"
        "python eval.py\n```python\npython eval.py\n```\nSo:\n"
        "```sh\n$ ssdlite eval a=[1] \\\n  b.0=2\nA=1 torchrun -n 2 train.py --config b\n```\n"
        "With `ssdlite eval` or `ssdlite info W`.\n```\nssdlite --help\n```\n"
    )
    assert readme_commands(text) == [
        ["train", "--config", "a", "k=v", "--resume"],
        ["eval", "a=[1]", "b.0=2"],
        ["train", "--config", "b"],
        ["info", "W"],
    ]


@pytest.mark.parametrize("name", ["train", "eval", "detect"])
def test_each_script_is_the_door_to_its_command(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(ROOT / f"{name}.py"), run_name="__main__")
    assert caught.value.code == 0
    assert f"usage: ssdlite {name}" in capsys.readouterr().out


@pytest.mark.parametrize("script", ["train.py", "eval.py", "detect.py"])
def test_a_clone_without_its_dependencies_says_what_to_install(tmp_path: Path, script: str) -> None:
    """From any folder; ``-S`` leaves out what is installed."""
    words = ["--config", "voc"] if script == "train.py" else ["photo.jpg"]
    done = run_python(tmp_path, "-S", str(ROOT / script), *words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "is not installed; in ssdlite's folder, run pip install -e ." in done.stderr


def test_a_clone_that_is_not_installed_has_a_version_and_the_names() -> None:
    code = (
        "import sys, vision\n"
        "print({name.split('.')[0] for name in sys.modules} - sys.stdlib_module_names)\n"
        "print(vision.__version__, sorted(set(vision.__all__) - set(dir(vision))))"
    )
    done = run_python(ROOT, "-S", "-c", code)
    assert done.stdout.splitlines()[1] == "0+unknown []", done.stderr
    assert set(ast.literal_eval(done.stdout.splitlines()[0])) == {"vision", "__main__"}


def test_the_face_has_the_names_of_the_modules() -> None:
    assert vision.__version__ == version("ssdlite")
    assert vision.Detector is vision.detector.Detector
    assert vision.Detections is vision.detections.Detections
    assert vision.Target is vision.structures.Target
    assert vision.load_config is load_config
    assert {vision.train, vision.evaluate} == {vision.api.train, vision.api.evaluate}
    with pytest.raises(AttributeError, match="has no attribute 'Detectr'"):
        vision.Detectr  # noqa: B018


@pytest.mark.parametrize(
    "name", ["api", "boxes", "draw", "errors", "image_inputs", "interop", "media"]
)
def test_public_modules_name_what_is_theirs(name: str) -> None:
    """What they import is not among it."""
    module = import_module(f"vision.{name}")
    own = {key for key, value in vars(module).items() if isroutine(value) or isclass(value)}
    own = {key for key in own if getattr(module, key).__module__.startswith(module.__name__)}
    aliases = {"ImageInput", "Colour", "Corners", "VIDEO_SUFFIXES"}
    assert own & {*module.__all__} == {*module.__all__} - aliases
    assert len(module.__all__) > 1


def test_no_module_has_the_name_of_an_exported_function() -> None:
    """Importing it would put the module in the function's place."""
    for init in (ROOT / "vision").rglob("__init__.py"):
        package = ".".join(init.parent.relative_to(ROOT).parts)
        modules = {path.stem for path in init.parent.iterdir()}
        assert modules.isdisjoint(getattr(import_module(package), "__all__", ())), package


def train_with(packages: Path, config: Config, folder: Path) -> None:
    """Train where more packages are installed, for a process of its own."""
    sys.path.insert(0, str(packages))
    train(config, folder)
    assert "tensorflow" not in sys.modules


@pytest.mark.slow
def test_training_leaves_tensorflow_alone(tmp_path: Path) -> None:
    """TensorBoard would import it where it is installed."""
    fake = tmp_path / "packages" / "tensorflow" / "__init__.py"
    fake.parent.mkdir(parents=True)
    fake.write_text("raise RuntimeError('tensorflow is imported')", encoding="utf-8")
    config = run_config("train.epochs=1", "data.val=null")
    assert exit_code(train_with, fake.parents[1], config, tmp_path / "run") == 0
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_the_wheel_is_enough_to_find_the_shipped_configurations(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    build = run_python(ROOT, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    assert build.returncode == 0, build.stderr
    (built,) = tmp_path.glob("*.whl")
    assert built.stat().st_size < 20e6
    with zipfile.ZipFile(built) as archive:
        archive.extractall(tmp_path / "installed")
    code = (
        "from vision.config import find_config, load_config, shipped_configs\n"
        "print(find_config('quickstart'))\n"
        "print(*(name for name in shipped_configs() if load_config(name)))\n"
    )
    done = run_python(tmp_path, "-c", code, PYTHONPATH=str(tmp_path / "installed"))
    assert done.stdout.splitlines() == [
        str(tmp_path / "installed" / "vision" / "configs" / "quickstart.yaml"),
        " ".join(shipped_configs()),
    ]
