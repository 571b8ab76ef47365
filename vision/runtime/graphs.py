"""The forms in which a detector is exported, as modules that the exporters trace."""

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
    """A network in one of the forms; it takes uint8 RGB pixels with the channels last.

    Args:
        network: The network to export, from `vision.model.fuse`.
        post_process: Selects the boxes for suppression; only for the forms ``nms`` and ``frigate``.

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
        """Boxes and scores of each prior, from RGB pixels of 0 to 255."""
        return decode_predictions(self.network(images), self.network.priors, self.network.scores)

    @abstractmethod
    def outputs(self, images: Float[Tensor, "N 3 H W"] | UInt8[Tensor, "N 3 H W"]) -> Outputs:
        """The form's outputs, from RGB pixels of 0 to 255 with the channels first."""

    def forward(self, images: UInt8[Tensor, "N H W 3"]) -> Outputs:
        """The form's outputs, from RGB pixels of 0 to 255 with the channels last."""
        return self.outputs(images.permute(0, 3, 1, 2))

    def example(self, batch: int = 2) -> Tensor:
        """Return an example input of ``batch`` images."""
        return torch.zeros(batch, *self.network.image_size, 3, dtype=torch.uint8)

    def traceable(self) -> "Graph":
        """Return a copy without in-place activations: the same graph, traced in half the time.

        The exporter traces in-place activations a second time, decomposed into their operations.
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
    """The boxes for suppression, whose nodes `vision.runtime.suppression` appends."""

    output_names = ("candidate_boxes", "candidate_scores", "candidate_labels")

    def outputs(self, images: Float[Tensor, "N 3 H W"] | UInt8[Tensor, "N 3 H W"]) -> Outputs:
        assert self.post_process is not None
        return tuple(self.post_process.select(self.decoded(images)))


class _Jetson(Graph):
    """The form that jetson-inference's detectNet expects of an SSD: RGB from -1 to 1."""

    input_name = "input_0"
    output_names = ("scores", "boxes")

    def forward(self, images: Float[Tensor, "N 3 H W"]) -> Outputs:
        return self.outputs(images * 127.5 + 127.5)

    def outputs(self, images: Float[Tensor, "N 3 H W"] | UInt8[Tensor, "N 3 H W"]) -> Outputs:
        boxes, scores = self.decoded(images)
        # The background comes first: 1 minus the sum of the classes' scores, which is exact for a
        # softmax; for sigmoids, it is at least 0.
        background = (1 - scores.sum(dim=-1, keepdim=True)).clamp(min=0)
        return torch.cat([background, scores], dim=-1), boxes

    def example(self, batch: int = 2) -> Tensor:
        return torch.zeros(batch, 3, *self.network.image_size)


class _Ssd(Graph):
    """The inputs of TFLite's SSD operator: offsets of (y, x, height, width), and scores."""

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
    """Switch off jaxtyping's checks: they read sizes as numbers, which fixes the batch size."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", value=True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


def graph_input(form: Form, pixels: UInt8[ndarray, "N H W 3"]) -> Shaped[ndarray, "N ..."]:
    """Convert images of the network's size to the input of a graph of this form."""
    if form == "frigate":
        return np.ascontiguousarray(pixels[..., ::-1])
    if form == "jetson":
        return pixels.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    return pixels
