"""Training with ``train.compile``; in a file of its own, since it takes as long as all others."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch._inductor import config as inductor

from tests.runs import ALIGNED, forking, read_log, run_config
from vision.config import Config
from vision.engine import train

pytestmark = pytest.mark.slow


def train_compiled(runs: dict[Path, Config]) -> None:
    """Train each, for a process of its own: compilers cannot follow the checks of shapes.

    Kernels without vectors, of a compiler that does not optimise, are made in a fraction of the
    time and compute the same.
    """
    torch.set_num_threads(1)
    inductor.compile_threads = 1
    inductor.cpp.simdlen = 1
    inductor.aot_inductor.debug_compile = True
    for folder, config in runs.items():
        train(config, folder)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_it_learns_the_same(tmp_path: Path) -> None:
    """Up to rounding, which fused operations change."""
    # Frozen layers have no gradient to compile; one block of each kind is left, and all heads.
    short = ("train.epochs=1", "train.precision=fp32", "data.val=null", "train.freeze=16")
    networks = {"ssd": (), "aligned": ALIGNED}
    runs = {}
    for name, overrides in networks.items():
        train(run_config(*short, *overrides), tmp_path / name)
        config = run_config(*short, *overrides, "train.compile=true")
        runs[tmp_path / f"{name}_compiled"] = config
    process = forking().Process(target=train_compiled, args=(runs,))
    process.start()
    process.join()
    assert process.exitcode == 0
    for name in networks:
        plain, compiled = tmp_path / name, tmp_path / f"{name}_compiled"
        loss = float(read_log(plain)[0]["loss"])
        assert float(read_log(compiled)[0]["loss"]) == pytest.approx(loss, rel=1e-3)
        weights = [load_file(folder / "last.safetensors") for folder in (plain, compiled)]
        assert weights[0].keys() == weights[1].keys()
