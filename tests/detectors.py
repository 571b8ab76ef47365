"""What a network finds, by the parts that a detector consists of."""

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vision.detector import Detector
from vision.errors import ConfigError
from vision.model import SSDLite, build_post_process, decode_predictions, fuse
from vision.runtime.fixed_batches import FixedBatches, Recorded
from vision.runtime.torch_backend import TorchSession
from vision.structures import Decoded
from vision.weights import SavedDetector


def detector_of(saved: SavedDetector, **options: Any) -> Detector:  # noqa: ANN401
    """A detector of weights in memory."""
    post_process = build_post_process(saved.config.model)
    return Detector.from_model(saved.model, post_process, saved.names, **options)


def call_before_and_after_a_fork(path: str, threads: str) -> None:
    """Exit with 0 if a fork finds what its parent finds, 2 if it is told that it cannot.

    For a process of its own, in which nothing has run.
    """
    detector = Detector.load(path, score=0.0, threads=int(threads) or None)
    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    expected = detector(image)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            found = detector(image)
        except ConfigError as error:
            os._exit(2 if "loaded before a fork" in str(error) else 3)
        os._exit(0 if (found.boxes - expected.boxes).abs().max() < 0.01 else 1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert len(detector(image)) == len(expected)
    sys.exit(code if code >= 0 else 100 - code)


def decoded_by(model: SSDLite, images: Tensor) -> Decoded:
    """Boxes and scores of each prior, by the network as detection runs it."""
    network = fuse(model)
    return decode_predictions(network(images), network.priors, network.scores)


def record_eagerly(function: Callable[..., Tensor], *inputs: Tensor) -> Recorded:
    """What stands for `CudaRecorder.record` without a GPU: the same rows, computed at once."""
    held = [one.clone() for one in inputs]

    def start(*given: Tensor) -> Callable[[], Tensor]:
        with torch.inference_mode():
            for one, place in zip(given, held, strict=True):
                place[: len(one)].copy_(one)
            rows = function(*held)[: len(given[0])].clone()
        return lambda: rows

    return start


def batched(detector: Detector, record: Callable[..., Recorded] = record_eagerly) -> FixedBatches:
    """Let a detector on the CPU use batches of fixed sizes, as it does on a GPU."""
    session = detector.session
    assert isinstance(session, TorchSession)
    session.batches = FixedBatches(
        partial(type(session).__call__, session),
        session.image_size,
        len(detector.names),
        record,
    )
    return session.batches
