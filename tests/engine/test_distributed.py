"""Two processes under torchrun do what one does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.engine.record_steps import record
from tests.runs import read_log, run_config, scenes, write_run_config
from vision.config import load_config
from vision.data import read_sources
from vision.engine import train
from vision.engine.build import build_run
from vision.engine.distributed import Processes, started_processes
from vision.engine.plan import Plan
from vision.errors import ConfigError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("record_steps.py")
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        [sys.executable, *words], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def gradients(path: Path) -> list[list[Tensor]]:
    found: list[list[Tensor]] = torch.load(path, weights_only=True)
    return found


CASES = {1: 14, 2: 16}
"""Parts of a batch, and training images: without parts, each epoch's last batch is smaller."""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration and the run of each case, by its number of parts, one launch for all."""
    folder = tmp_path_factory.mktemp("two")
    words = []
    for accumulate, num_images in CASES.items():
        overrides = [
            f"data.train={scenes(num_images)}",
            f"data.val={scenes(7, seed=1)}",
            "train.batch_size=8",
            "train.precision=fp32",
            f"train.accumulate={accumulate}",
            "optim.lr=0.001",
            "train.tensorboard=false",
        ]
        config = write_run_config(folder / f"{accumulate}.yaml", *overrides)
        words += [config, str(folder / str(accumulate))]
    result = run(*TORCHRUN, str(SCRIPT), *words)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.parametrize("accumulate", CASES)
def test_two_processes_give_the_gradients_and_metrics_of_one(
    two: Path, tmp_path: Path, accumulate: int
) -> None:
    one, two = tmp_path / "one", two / str(accumulate)
    record(str(two.with_suffix(".yaml")), str(one))
    expected = gradients(one / "gradients.pt")
    assert len(expected) == 4
    for rank in range(2):
        found = gradients(two / f"gradients{rank}.pt")
        for ours, expected_part in zip(found, expected, strict=True):
            for mine, theirs in zip(ours, expected_part, strict=True):
                assert (mine - theirs).norm() <= 1e-6 * theirs.norm()
    expected_metrics = json.loads((one / "metrics.json").read_text(encoding="utf-8"))
    assert expected_metrics["num_images"] == 7
    assert json.loads((two / "metrics.json").read_text(encoding="utf-8")) == expected_metrics
    for row, one_row in zip(read_log(two), read_log(one), strict=True):
        assert numbers(row) == pytest.approx(numbers(one_row), rel=1e-5)


def numbers(row: dict[str, str]) -> dict[str, Any]:
    return {key: float(value) for key, value in row.items() if value}


def test_torchrun_resumes(tmp_path: Path) -> None:
    """What one process began; two begin runs in `two`."""
    overrides = ("train.epochs=1", "data.val=null", "train.tensorboard=false")
    config, out = write_run_config(tmp_path / "small.yaml", *overrides), tmp_path / "run"
    train(load_config(config), out)
    command = [*TORCHRUN, str(ROOT / "train.py"), "--config", config, "--out", str(out)]
    result = run(*command, "--resume", "train.epochs=2")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("epoch 2/2: loss") == 1
    assert result.stdout.count("weights, log and pictures are in") == 1
    assert [row["epoch"] for row in read_log(out)] == ["1", "2"]


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    config = run_config("train.batch_size=5")
    annotations = read_sources(config.data.train, "data.train")
    plan = Plan(config, annotations.names, annotations)
    with pytest.raises(ConfigError, match="must be a multiple of the 2 processes"):
        build_run(plan, torch.device("cpu"), Processes(rank=1, local_rank=1, size=2))


def test_an_incomplete_environment_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match="use torchrun"), started_processes("cpu"):
        pass
