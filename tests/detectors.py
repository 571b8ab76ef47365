"""What a network finds, by the parts that a detector consists of."""

from typing import Any

from torch import Tensor

from vision.detector import Detector
from vision.model import SSDLite, build_post_process, decode_predictions, fuse
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
