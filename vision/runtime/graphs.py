"""The forms in which a detector leaves PyTorch, as modules for the exporter to trace."""

# N batch, H W height and width of the network's input

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import jaxtyping
import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from numpy import ndarray
from torch import Tensor, nn

from vision.choices import Form
from vision.model import PostProcess, SSDLite, class_scores, decode_predictions
from vision.structures import Decoded, Predictions

Outputs: TypeAlias = tuple[Tensor, ...]


class Graph(nn.Module, ABC):
    """A network in one of the forms; it takes uint8 RGB pixels as a decoder gives them.

    Args:
        network: What to export, of `vision.model.fuse`.
        post_process: Chooses the boxes that suppression works on, for the form ``nms`` alone.

    Attributes:
        input_name: Name of the input in the file.
        output_names: Names of the outputs in the file.
    """

    input_name = "images"
    output_names: tuple[str, ...] = ()

    def __init__(self, network: SSDLite, post_process: PostProcess | None) -> None:
        super().__init__()
        self.network = network
        self.post_process = post_process
        self.eval()

    def decoded(self, images: Float[Tensor, "N 3 H W"] | UInt8[Tensor, "N 3 H W"]) -> Decoded:
        """Boxes and scores of each prior, from RGB of 0 to 255."""
        return decode_predictions(self.network(images), self.network.priors, self.network.scores)

    @abstractmethod
    def outputs(self, images: Float[Tensor, "N 3 H W"] | UInt8[Tensor, "N 3 H W"]) -> Outputs:
        """What the form gives, from RGB of 0 to 255 with the channels first."""

    def forward(self, images: UInt8[Tensor, "N H W 3"]) -> Outputs:
        """What the form gives, from pixels as a decoder gives them."""
        return self.outputs(images.permute(0, 3, 1, 2))

    def example(self, batch: int = 2) -> Tensor:
        """An input of ``batch`` images."""
        return torch.zeros(batch, *self.network.image_size, 3, dtype=torch.uint8)

    def traceable(self) -> "Graph":
        """A copy whose activations make new tensors: the same graph, traced in half the time.

        The exporter traces activations in place a second time, as the operations they consist of.
        """
        copied = copy.deepcopy(self)
        for part in copied.modules():
            if getattr(part, "inplace", False):
                part.inplace = False  # type: ignore[assignment]
        return copied


class _Raw(Graph):
    output_names = ("logits", "offsets")

    def outputs(self, images: Float[Tensor, "N 3 H W"] | UInt8[Tensor, "N 3 H W"]) -> Outputs:
        predictions: Predictions = self.network(images)
        return predictions.logits.float(), predictions.offsets.float()


class _Decoded(Graph):
    output_names = ("boxes", "scores")

    def outputs(self, images: Float[Tensor, "N 3 H W"] | UInt8[Tensor, "N 3 H W"]) -> Outputs:
        return tuple(self.decoded(images))


class _PreNms(Graph):
    """The boxes to which `vision.runtime.suppression` appends nodes."""

    output_names = ("candidate_boxes", "candidate_scores", "candidate_labels")

    def outputs(self, images: Float[Tensor, "N 3 H W"] | UInt8[Tensor, "N 3 H W"]) -> Outputs:
        assert self.post_process is not None
        return tuple(self.post_process.select(self.decoded(images)))


class _Jetson(Graph):
    """The form in which jetson-inference's detectNet calls an SSD: RGB from -1 to 1."""

    input_name = "input_0"
    output_names = ("scores", "boxes")

    def forward(self, images: Float[Tensor, "N 3 H W"]) -> Outputs:
        return self.outputs(images * 127.5 + 127.5)

    def outputs(self, images: Float[Tensor, "N 3 H W"] | UInt8[Tensor, "N 3 H W"]) -> Outputs:
        boxes, scores = self.decoded(images)
        # Background comes first: what the classes leave of 1, exact for a softmax, at least 0 for
        # sigmoids.
        background = (1 - scores.sum(dim=-1, keepdim=True)).clamp(min=0)
        return torch.cat([background, scores], dim=-1), boxes

    def example(self, batch: int = 2) -> Tensor:
        return torch.zeros(batch, 3, *self.network.image_size)


class _Ssd(Graph):
    """What TFLite's SSD operator takes: offsets of (y, x, height, width), and scores."""

    output_names = ("offsets", "scores")

    def outputs(self, images: Float[Tensor, "N 3 H W"] | UInt8[Tensor, "N 3 H W"]) -> Outputs:
        predictions: Predictions = self.network(images)
        scores = class_scores(predictions.logits.float(), self.network.scores)
        return predictions.offsets.float()[..., [1, 0, 3, 2]], scores


GRAPHS: dict[Form, type[Graph]] = {
    "raw": _Raw,
    "decoded": _Decoded,
    "nms": _PreNms,
    "jetson": _Jetson,
    "ssd": _Ssd,
    "frigate": _PreNms,
}


@contextmanager
def without_shape_checks() -> Iterator[None]:
    """Switch jaxtyping's checks off: they read sizes as numbers, which fixes the batch."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", value=True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


def graph_input(form: Form, pixels: UInt8[ndarray, "N H W 3"]) -> Shaped[ndarray, "N ..."]:
    """Images of the network's size as a graph of the form takes them."""
    if form == "frigate":
        return np.ascontiguousarray(pixels[..., ::-1])
    if form == "jetson":
        return pixels.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    return pixels
