"""Training with ``train.compile``; in a file of its own, since it takes as long as all others."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.runs import ALIGNED, read_log, run_config, write_run_config
from vision.engine import train

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "train.py"


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("network", [(), ALIGNED])
def test_compiled_it_learns_the_same(tmp_path: Path, network: tuple[str, ...]) -> None:
    """Up to rounding, which fused operations change. In a process whose shapes are not checked."""
    # Frozen layers have no gradient to compile; one block of each kind is left, and all heads.
    short = ("train.epochs=1", "train.precision=fp32", "data.val=null", "train.freeze=16")
    overrides = (*short, *network)
    train(run_config(*overrides), tmp_path / "plain")
    config = write_run_config(tmp_path / "small.yaml", *overrides, "train.compile=true")
    command = [sys.executable, str(SCRIPT), "--config", config, "--out", str(tmp_path / "compiled")]
    # By itself the compiler would start a process for each core, which takes seconds.
    environment = os.environ | {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment)  # noqa: S603
    plain, compiled = (tmp_path / name for name in ("plain", "compiled"))
    loss = float(read_log(plain)[0]["loss"])
    assert float(read_log(compiled)[0]["loss"]) == pytest.approx(loss, rel=1e-3)
    weights = [load_file(folder / "last.safetensors") for folder in (plain, compiled)]
    assert weights[0].keys() == weights[1].keys()
