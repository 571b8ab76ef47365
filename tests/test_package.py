"""The package as it is installed, the three scripts, and what the README tells to type."""

import argparse
import os
import re
import runpy
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vision.cli.main import COMMANDS, main
from vision.config import load_config, shipped_configs

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELLS = {"", "sh", "bash", "console"}
SCRIPT = re.compile(r"(?:\./)?(train|eval|detect)\.py")
OPTIONAL = re.compile(r"(?<!\S)\[(.*?)\](?!\S)")
PLACEHOLDER = re.compile(r"[A-Z]+")


class ParsedError(Exception):
    """Ends a command as soon as its words are parsed."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__()
        self.options = options


def readme_commands(text: str) -> list[list[str]]:
    """Each command of ours in fenced blocks: its name, then its words.

    A synopsis such as ``--config F [key=value ...]`` counts with all its options.
    """
    found = []
    shown = "".join(block for language, block in FENCED.findall(text) if language in SHELLS)
    for line in shown.replace("\\\n", " ").splitlines():
        for part in line.removeprefix("$ ").split("&&"):
            plain = OPTIONAL.sub(r"\1", part).replace("...", "")
            words = shlex.split(plain, comments=True)
            if words[:1] == ["ssdlite"]:
                found.append(words[1:])
            elif words[:1] == ["python"] and (script := SCRIPT.fullmatch(words[1])):
                found.append([script[1], *words[2:]])
    return found


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


@pytest.mark.parametrize("words", readme_commands(README + DOCS), ids=" ".join)
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
    assert load_config(config, given).data.train is not None


def test_the_readme_shows_each_command() -> None:
    assert {words[0] for words in readme_commands(README)} == set(COMMANDS)


def test_commands_are_found_in_whatever_fence() -> None:
    text = (
        "```\npip install x && python train.py --config a [k=v ...] [--resume]  # two\n```\n"
        "python eval.py\n```python\npython eval.py\n```\nSo:\n"
        "```sh\n$ ssdlite eval a=[1] \\\n  b.0=2\n```\n"
    )
    assert readme_commands(text) == [
        ["train", "--config", "a", "k=v", "--resume"],
        ["eval", "a=[1]", "b.0=2"],
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


def test_a_script_runs_from_any_folder(tmp_path: Path) -> None:
    """One of the three, since each takes seconds to import what it needs."""
    done = run_python(tmp_path, str(ROOT / "train.py"), "--config", "nowhere.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("ssdlite train: error: configuration nowhere.yaml does not exist")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
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
