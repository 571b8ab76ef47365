"""What holds for the tests of commands."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.check import corpus
from vision.config import Config, ModelConfig
from vision.model import build_model
from vision.weights import save_weights


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Commands log to the standard output of their test, which is closed after it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of cats and dogs with random weights; to be left as it is."""
    config = Config(model=ModelConfig(image_size=(128, 128), width_mult=0.25))
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_weights(path, build_model(config.model, 2), config, ["cat", "dog"], {})
    return path


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data set without faults; to be left as it is."""
    return str(corpus.clean(tmp_path_factory.mktemp("clean")).write())
