"""The forms in which a detector leaves PyTorch, as modules for the exporter to trace."""

# N batch, P priors, C classes, H W height and width of the network's input

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from numpy import ndarray
from torch import Tensor, nn

from vision.choices import FORMS, Form
from vision.model import DecodingNetwork, PostProcess
from vision.structures import Predictions

__all__ = ["FORMS", "Form", "Graph", "build_graph", "graph_input"]


@dataclass(frozen=True, slots=True)
class Graph:
    """A form, ready to be traced.

    Attributes:
        module: From one input to the outputs.
        example: An input of two images.
        input: The input's name.
        outputs: The outputs' names.
    """

    module: nn.Module
    example: Tensor
    input: str
    outputs: tuple[str, ...]


def build_graph(form: Form, network: DecodingNetwork, post_process: PostProcess) -> Graph:
    """A form of a network.

    All but ``jetson`` take ``images``: (N, H, W, 3), uint8, RGB, as a decoder gives pictures once
    they are resized.
    """
    height, width = network.image_size
    pixels = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    if form == "jetson":
        images = torch.zeros(2, 3, height, width)
        return Graph(_Jetson(network), images, "input_0", ("scores", "boxes"))
    if form == "raw":
        return Graph(_Raw(network), pixels, "images", ("logits", "offsets"))
    if form == "decoded":
        return Graph(_Decoded(network), pixels, "images", ("boxes", "scores"))
    outputs = ("candidate_boxes", "candidate_scores", "candidate_labels")
    return Graph(_PreNms(network, post_process), pixels, "images", outputs)


def graph_input(form: Form, pixels: UInt8[ndarray, "N H W 3"]) -> Shaped[ndarray, "N ..."]:
    """Images of the network's size as a graph of the form takes them."""
    if form == "jetson":
        return pixels.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    return pixels


class _Form(nn.Module):
    def __init__(self, network: DecodingNetwork) -> None:
        super().__init__()
        self.network = network
        self.eval()


class _Raw(_Form):
    def forward(self, images: UInt8[Tensor, "N H W 3"]) -> tuple[Tensor, ...]:
        predictions: Predictions = self.network.network(images.permute(0, 3, 1, 2))
        return predictions.logits.float(), predictions.offsets.float()


class _Decoded(_Form):
    def forward(self, images: UInt8[Tensor, "N H W 3"]) -> tuple[Tensor, ...]:
        return tuple(self.network(images.permute(0, 3, 1, 2)))


class _PreNms(_Form):
    """The boxes that `vision.runtime.suppression` works on."""

    def __init__(self, network: DecodingNetwork, post_process: PostProcess) -> None:
        super().__init__(network)
        self.post_process = post_process

    def forward(self, images: UInt8[Tensor, "N H W 3"]) -> tuple[Tensor, ...]:
        return tuple(self.post_process.select(self.network(images.permute(0, 3, 1, 2))))


class _Jetson(_Form):
    """The form in which jetson-inference's detectNet calls an SSD: RGB from -1 to 1.

    Background comes first. Its score completes those of the classes to 1.
    """

    def forward(self, images: Float[Tensor, "N 3 H W"]) -> tuple[Tensor, ...]:
        pixels = images * 127.5 + 127.5
        boxes, scores = self.network(pixels)
        return torch.cat([_background(scores), scores], dim=-1), boxes


def _background(scores: Shaped[Tensor, "N P C"]) -> Shaped[Tensor, "N P 1"]:
    """What the classes leave of 1: exact for a softmax, at least 0 for sigmoids."""
    return (1 - scores.sum(dim=-1, keepdim=True)).clamp(min=0)
