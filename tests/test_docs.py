"""What the README and the docs promise: links, files, the layers, Python that runs."""

import re
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import matplotlib as mpl
import pytest
from yaml import SafeLoader, load

from tests.formats import layouts
from tests.runs import run_config
from tests.test_package import FENCED, README, ROOT
from vision.export import ExportSpec, default_images, export_detector
from vision.weights import SHIPPED, load_weights

PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / ".github").rglob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
NAMED_FILE = re.compile(r"`((?:vision|tests|configs|docs)/[\w./]+\.\w+)`")
OUTPUT = re.compile(r"# -> (.*)$", re.MULTILINE)
EXPORTED = re.compile(r"exported/([a-z]+)_([a-z]+)_([a-z0-9]+)\.onnx")
BRIEF = ("train.epochs=1", "train.eval_every=1")
ROW = re.compile(r"^ *\d+  (.+?)(?:   .*)?$", re.MULTILINE)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """What GitHub and MkDocs make of the headings of a page."""
    plain = (re.sub(r"[^\w\- ]", "", text).strip().lower() for text in HEADING.findall(prose(page)))
    return {text.replace(" ", "-") for text in plain}


def name_of(page: Path) -> str:
    """A page in test ids."""
    return page.relative_to(ROOT).as_posix()


def test_the_readme_is_one_page() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = unquote(link).partition("#")
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_are_named_exist(page: Path) -> None:
    named = [name for name in NAMED_FILE.findall(prose(page)) if "NAME" not in name]
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_ci_runs_what_the_readme_says() -> None:
    shown = [line for _, block in FENCED.findall(README) for line in block.splitlines()]
    checks = (ROOT / ".ci" / "run").read_text(encoding="utf-8").replace("--quiet ", "").splitlines()
    assert 'pip install -e ".[dev]"' in shown
    assert 'pip install -e ".[dev]"' in checks
    assert next(line for line in checks if line.startswith("pytest")) in shown


def test_headings_become_anchors_as_on_github(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Google's `x_y`, twice\n```\n# no heading\n```\n## A-b c\n", encoding="utf-8")
    assert anchors(page) == {"googles-x_y-twice", "a-b-c"}


def pages_in(nav: Any) -> list[str]:  # noqa: ANN401 - YAML
    """The files of a navigation, and of those inside it."""
    if isinstance(nav, str):
        return [nav]
    entries = nav.values() if isinstance(nav, dict) else nav
    return [file for entry in entries for file in pages_in(entry)]


def test_the_site_has_each_page_once() -> None:
    site = load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), SafeLoader)
    pages = [page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")]
    assert sorted(pages_in(site["nav"])) == sorted(page.as_posix() for page in pages)


def test_the_layers_are_the_linters() -> None:
    if sys.version_info < (3, 11):
        pytest.skip("tomllib comes with Python 3.11")
    import tomllib  # noqa: PLC0415

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (layers,) = (
        contract["layers"]
        for contract in settings["importlinter"]["contracts"]
        if contract["containers"] == ["vision"]
    )
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (shown,) = (block for _, block in FENCED.findall(text) if "cli" in block)
    assert [set(row.split(" | ")) for row in ROW.findall(shown)] == [
        set(layer.split(" | ")) for layer in layers
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        code
        for page in PAGES
        if page.parent.name != "examples"  # each has a test of its own
        for language, code in FENCED.findall(page.read_text(encoding="utf-8"))
        if language in {"python", "py"}
    ],
)
def test_python_runs_as_it_is_shown(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the output that ``# ->`` says, on a photograph of a person with a tie."""
    prepare(code, tmp_path)
    monkeypatch.chdir(tmp_path)
    # A training that is shown is one of an epoch on a small network.
    monkeypatch.setattr("vision.api.load_config", lambda _, words: run_config(*words, *BRIEF))
    exec(compile(code, "shown", "exec"), {})  # noqa: S102
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in OUTPUT.findall(code) if line not in printed] == []


def prepare(code: str, folder: Path) -> None:
    """The files in a folder that an example names."""
    photo = mpl.get_data_path() + "/sample_data/grace_hopper.jpg"
    (folder / "photos").mkdir()
    for name in ("photo.jpg", "photos/a.jpg"):
        shutil.copyfile(photo, folder / name)
    if "MINE" in code:
        layouts.yolo(folder / "MINE", layouts.SPLIT)
    if "coco/annotations" in code:
        shutil.copytree(ROOT / "docs" / "splits", folder / "docs" / "splits")
        file = folder / "coco" / "annotations" / "instances_val2017.json"
        file.parent.mkdir(parents=True)
        file.write_text('{"images": [{"id": 1}], "annotations": []}', "utf-8")
    if found := EXPORTED.search(code):
        pytest.importorskip("onnx")
        weights, form, precision = found.groups()
        saved, spec = load_weights(SHIPPED[weights]), ExportSpec("onnx", form, precision)  # type: ignore[arg-type]
        images = default_images(1, saved.model.image_size)
        export_detector(saved, spec, folder / found[0], images, [])
