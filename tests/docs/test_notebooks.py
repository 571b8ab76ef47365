"""The notebooks of the docs run from the first cell to the last, in an empty folder."""

import io
import os
import shlex
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import nbformat
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from tests.exported import trace_once
from tests.runs import result_of
from tests.test_package import ROOT
from vision.cli.main import main

NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))
SHOWN = {
    "train_on_own_data": ("mean over 2 classes", "best.safetensors", "report.html"),
    "detect_evaluate_export": ("1 person, 1 tie", "image/png", "coco_decoded_fp32.onnx"),
}
"""What the outputs of each contain."""


def cells_of(path: Path) -> list[nbformat.NotebookNode]:
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_each_notebook_is_known() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(SHOWN)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_valid_and_have_no_outputs(path: Path) -> None:
    assert all(not cell.outputs and cell.execution_count is None for cell in cells_of(path))


def run_cells(sources: list[str], folder: Path, traced: Path) -> str:
    """What IPython shows of some cells; for a process of its own.

    Commands of a shell are all our own, and run in this process too.
    """
    os.chdir(folder)
    torch.set_num_threads(1)
    shell: Any = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))

    def system(line: str) -> None:
        program, *words = shlex.split(line)
        assert (program, main(words)) == ("ssdlite", 0)

    shell.system = system
    values = []
    with (
        redirect_stdout(io.StringIO()) as shown,
        patch("torch.onnx.export", trace_once(traced)),
    ):
        for source in sources:
            result = shell.run_cell(source)
            result.raise_error()
            values.append(shell.display_formatter.format(result.result))
    return f"{shown.getvalue()}{values}"


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path: Path, tmp_path: Path, shared_folder: Path) -> None:
    sources = [cell.source for cell in cells_of(path)]
    shown = result_of(run_cells, sources, tmp_path, shared_folder)
    for text in SHOWN[path.stem]:
        assert text in shown
