"""What holds for all tests.

Of the package, only fixtures import: pytest's controller reads this file too, and runs no test.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

settings.register_profile("tests", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("tests")


@pytest.fixture(autouse=True, scope="session")
def one_thread_for_fixtures() -> None:
    """Tensors are small here: threads would wait for each other longer than they work."""
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def one_thread(one_thread_for_fixtures: None) -> None:
    """Before each test too, since a detector with a number of threads sets it for the process."""
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def quick() -> Iterator[None]:
    """The bootstrap, which has tests of its own, is short, and no file waits for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vision.metrics.analysis.DRAWS", 20)
        patch.setattr("os.fsync", lambda _: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def heard() -> None:
    """A signal that tests send arrives, also where nohup or a shell's background started them."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what takes long to make, which all workers of one call of pytest share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(autouse=True, scope="session")
def traced_once(shared_folder: Path) -> Iterator[None]:
    """Tracing takes most of an export: a form of the same weights is traced once."""
    from tests.exported import trace_once  # noqa: PLC0415

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.onnx.export", trace_once(shared_folder))
        yield


@pytest.fixture(scope="session")
def learnt(shared_folder: Path) -> Path:
    """The folder of a run that learnt eight drawn scenes by heart; to be left as it is.

    The scenes count ten times in an epoch: what takes time besides a step are epochs.
    """
    from tests.runs import run_config, scenes  # noqa: PLC0415
    from vision.engine import train  # noqa: PLC0415

    config = run_config(
        "train.epochs=10",
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
