"""What a network finds, by the parts that a detector consists of."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from vision.detector import Detector
from vision.model import SSDLite, build_post_process, decode_predictions, fuse
from vision.runtime.fixed_batches import FixedBatches, Recorded
from vision.runtime.torch_backend import TorchSession
from vision.structures import Decoded
from vision.weights import SavedDetector


def detector_of(saved: SavedDetector, **options: Any) -> Detector:  # noqa: ANN401
    """A detector of weights in memory."""
    post_process = build_post_process(saved.config.model)
    return Detector.from_model(saved.model, post_process, saved.names, **options)


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
