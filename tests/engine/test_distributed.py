"""Two processes under torchrun do what one does."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.engine.record_steps import record
from tests.runs import (
    ALIGNED,
    few_blocks,
    read_log,
    run_config,
    same_weights,
    scenes,
    write_run_config,
)
from vision.data import read_sources
from vision.engine import train
from vision.engine.build import build_run
from vision.engine.distributed import Processes, started_processes
from vision.engine.plan import Plan
from vision.engine.run_folder import RunFolder
from vision.errors import ConfigError, TrainingError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("record_steps.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def gradients(path: Path) -> list[list[Tensor]]:
    found: list[list[Tensor]] = torch.load(path, weights_only=True)
    return found


CASES: dict[str, tuple[int, tuple[str, ...]]] = {
    "whole": (14, ()),
    "parts": (16, ("train.accumulate=2",)),
    "aligned": (14, ALIGNED),
}
"""Training images and overrides: where batches have no parts, each epoch's last one is smaller."""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration and the run of each case, one launch for all.

    In ``resumed`` the first epoch is a single process's.
    """
    folder = tmp_path_factory.mktemp("two")
    words = []
    for case, (num_images, own) in CASES.items():
        overrides = [
            f"data.train={scenes(num_images)}",
            f"data.val={scenes(7, seed=1)}",
            "train.batch_size=8",
            "optim.lr=0.001",
            "train.tensorboard=false",
            *own,
        ]
        config = write_run_config(folder / f"{case}.yaml", *overrides)
        words += [config, str(folder / case)]
    overrides = ["data.val=null", "train.tensorboard=false"]
    with few_blocks():
        train(run_config(*overrides, "train.epochs=1"), folder / "resumed")
    words += [write_run_config(folder / "resumed.yaml", *overrides), str(folder / "resumed")]
    result = subprocess.run(  # noqa: S603
        [*TORCHRUN, "--standalone", "--nproc-per-node", "2", str(SCRIPT), *words],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    (folder / "stdout").write_text(result.stdout, encoding="utf-8")
    return folder


@pytest.mark.parametrize("case", CASES)
def test_two_processes_give_the_gradients_and_metrics_of_one(
    two: Path, tmp_path: Path, case: str
) -> None:
    one, two = tmp_path / "one", two / case
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


def test_torchrun_resumes(two: Path) -> None:
    """What one process began; one of two prints what is done and where it is."""
    assert [row["epoch"] for row in read_log(two / "resumed")] == ["1", "2"]
    output = (two / "stdout").read_text(encoding="utf-8")
    assert output.count("resuming after epoch 1 and 0 steps") == 1
    assert output.count("weights, log and pictures are in") == len(CASES) + 1


def test_a_lost_node_comes_back(two: Path, tmp_path: Path) -> None:
    """Two of torchrun's agents are two machines; one is killed in the second epoch."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        endpoint = f"localhost:{free.getsockname()[1]}"
    rendezvous = ["--nnodes", "2", "--nproc-per-node", "1", "--local-addr", "localhost"]
    rendezvous += ["--rdzv-backend", "c10d", "--rdzv-endpoint", endpoint]
    words = ["--max-restarts", "1", str(SCRIPT), str(two / "whole.yaml"), str(tmp_path)]

    def start(*, hosts: bool, **variables: str) -> "subprocess.Popen[str]":
        conf = ["--rdzv-conf", f"is_host={int(hosts)},keep_alive_interval=1"]
        return subprocess.Popen(  # noqa: S603
            [*TORCHRUN, *rendezvous, *conf, *words],
            env={**ENVIRONMENT, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", **variables},
            stderr=subprocess.PIPE,
            text=True,
        )

    nodes = [start(hosts=True), start(hosts=False, LOST_AFTER="3")]
    try:
        assert nodes[1].wait(300) == -signal.SIGKILL
        assert [row["epoch"] for row in read_log(tmp_path)] == ["1"]
        nodes.append(start(hosts=False))
        messages = nodes[0].communicate(timeout=300)[1]
        assert (nodes[0].returncode, nodes[2].wait(300)) == (0, 0), messages
    finally:
        for node in nodes:
            node.terminate()
            node.communicate()
    assert "the connection to another process of the run is lost" in messages
    assert read_log(tmp_path) == read_log(two / "whole")
    assert same_weights(tmp_path / "last.safetensors", two / "whole" / "last.safetensors")


def test_a_run_folder_that_machines_do_not_share_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Processes, "gather", lambda _, mine, total: [*mine, True][:total])
    folder = RunFolder(tmp_path, resume=True)
    assert not folder.has_checkpoints(Processes())
    with pytest.raises(TrainingError, match="a file system that they share"):
        folder.has_checkpoints(Processes(size=2))


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
