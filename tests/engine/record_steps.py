"""A run whose norms stay in evaluation mode, with its gradients written down.

``python record_steps.py CONFIG OUT``, by itself or under torchrun.
"""

import os
import sys
from pathlib import Path
from unittest.mock import patch

import torch
from torch import nn

from tests.reference_model import randomise
from vision.config import ModelConfig, load_config
from vision.engine import train
from vision.engine.run import Run
from vision.model import SSDLite, build_model

__all__ = ["main"]


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


def main(config: str, out: str) -> None:
    """Train, and write the gradients of each step."""
    torch.set_num_threads(1)
    gradients: list[list[torch.Tensor]] = []

    def record(model: nn.Module, _: float) -> None:
        grads = [value.grad for value in model.parameters()]
        gradients.append([grad.clone() for grad in grads if grad is not None])

    with (
        patch("vision.engine.build.build_model", build),
        patch("vision.engine.run.Run.train_mode", eval_mode),
        patch("vision.engine.step.clip_gradients", record),
    ):
        train(load_config(config), Path(out))
    torch.save(gradients, Path(out) / f"gradients{os.environ.get('RANK', '')}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
