"""Runs of few blocks whose norms stay in evaluation mode, with their gradients written down.

``python record_steps.py CONFIG OUT [CONFIG OUT ...]``, under torchrun; what is there is continued.
With ``LOST_AFTER`` in the environment, the process and its torchrun are killed after so many steps.
"""

import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import torch
from torch import nn

from tests.reference_model import randomise
from tests.runs import few_blocks
from vision.cli.main import main
from vision.config import ModelConfig
from vision.engine.distributed import started_processes
from vision.engine.run import Run
from vision.model import SSDLite, build_model

__all__ = ["record"]


def build(config: ModelConfig, num_classes: int) -> SSDLite:
    model = build_model(config, num_classes)
    randomise(model)
    # In float32 one activation that rounding puts on the other side of a ReLU's corner changes
    # gradients by 1e-4: another batch size may take another kernel, which rounds otherwise.
    model.layer_dtype = torch.float64
    priors = model.priors
    model.double().priors = priors
    return model


def eval_mode(run: Run) -> None:
    run.state.model.eval()


def record(config: str, out: str) -> None:
    """Train, and write the gradients of each step."""
    gradients: list[list[torch.Tensor]] = []

    def keep(model: nn.Module, _: float) -> None:
        grads = [value.grad for value in model.parameters()]
        gradients.append([grad.clone() for grad in grads if grad is not None])
        if os.environ.get("LOST_AFTER") == str(len(gradients)):
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    with (
        few_blocks(),
        patch("vision.engine.build.build_model", build),
        patch("vision.engine.run.Run.train_mode", eval_mode),
        patch("vision.engine.step.clip_gradients", keep),
        patch("vision.metrics.analysis.DRAWS", 20),
    ):
        assert main(["train", "--config", config, "--out", out, "--resume"]) == 0
    torch.save(gradients, Path(out) / f"gradients{os.environ.get('RANK', '')}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    pairs = list(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    if len(pairs) == 1:
        record(*pairs[0])
        sys.exit()
    # The processes of one launch can only meet once.
    with (
        started_processes("cpu") as processes,
        patch("vision.engine.trainer.started_processes", lambda _: nullcontext(processes)),
    ):
        for pair in pairs:
            record(*pair)
