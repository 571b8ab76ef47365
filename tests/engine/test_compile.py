"""Training with ``train.compile``."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from safetensors.torch import load_file
from torch._inductor import config as inductor

from tests.runs import ALIGNED, exit_code, few_blocks, read_log, run_config
from vision.config import Config
from vision.engine import forward, train

pytestmark = pytest.mark.slow


def train_compiled(runs: dict[Path, Config]) -> None:
    """Train each, for a process of its own: compilers cannot follow the checks of shapes.

    The losses become C++, without vectors, which take longer to compile. The network, whose kernels
    would take a minute, is traced and differentiated as for that, and then run as it is.
    """
    torch.set_num_threads(1)
    inductor.compile_threads = 1
    inductor.cpp.simdlen = 1
    compile_ = torch.compile

    def compile_fast(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:  # noqa: ANN401
        backend = "aot_eager" if function is forward.predict else "inductor"
        return compile_(function, backend=backend, **options)

    with patch("torch.compile", compile_fast), few_blocks():
        for folder, config in runs.items():
            train(config, folder)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_it_learns_the_same(tmp_path: Path) -> None:
    """Up to rounding, which fused operations change."""
    short = ("train.epochs=1", "data.val=null")
    networks = {"ssd": (), "aligned": ALIGNED}
    runs = {}
    for name, overrides in networks.items():
        with few_blocks():
            train(run_config(*short, *overrides), tmp_path / name)
        config = run_config(*short, *overrides, "train.compile=true")
        runs[tmp_path / f"{name}_compiled"] = config
    assert exit_code(train_compiled, runs) == 0
    for name in networks:
        plain, compiled = tmp_path / name, tmp_path / f"{name}_compiled"
        loss = float(read_log(plain)[0]["loss"])
        assert float(read_log(compiled)[0]["loss"]) == pytest.approx(loss, rel=1e-3)
        weights = [load_file(folder / "last.safetensors") for folder in (plain, compiled)]
        assert weights[0].keys() == weights[1].keys()
