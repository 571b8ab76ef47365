"""What holds for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hypothesis import settings

from tests.exported import shared_folder, traced_once
from tests.runs import run_config, scenes
from vision.engine import train

__all__ = ["few_resamples", "learnt", "one_thread", "shared_folder", "traced_once"]

settings.register_profile("tests", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("tests")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Tensors are small here: threads would wait for each other longer than they work.

    Before each test, since a detector with a number of threads sets it for the process.
    """
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def few_resamples() -> Iterator[None]:
    """The bootstrap takes long, and has tests of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vision.metrics.analysis.DRAWS", 20)
        yield


@pytest.fixture(scope="session")
def learnt(shared_folder: Path) -> Path:
    """The folder of a run that learnt eight drawn scenes by heart; to be left as it is.

    The scenes count ten times in an epoch: what takes time besides a step are epochs.
    """
    config = run_config(
        "train.epochs=10",
        "train.precision=fp32",
        "train.eval_every=10",
        "optim.lr=0.1",
        "augment.preset=none",
        f"data.train={[scenes()] * 10}",
        f"data.cache={shared_folder / 'scenes'}",
    )
    folder = shared_folder / "learnt"
    with FileLock(f"{folder}.lock"):
        if not (folder / "metrics.json").exists():  # The last file of a run.
            train(config, folder)
    return folder
