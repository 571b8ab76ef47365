"""The network as detection, evaluation and export run it."""

# N batch, H W image height and width

import copy

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from vision.model.postprocess import Decode
from vision.model.ssdlite import SSDLite, fuse
from vision.structures import Decoded


class DecodingNetwork(nn.Module):
    """From pixels to boxes and scores: BatchNorm folded into convolutions, outputs decoded.

    Args:
        model: The network; it is copied and not changed.
        decode: The decoding for its priors.

    Attributes:
        network: The folded copy, in evaluation mode.
        image_size: (height, width) of the images that it takes.
    """

    def __init__(self, model: SSDLite, decode: Decode) -> None:
        super().__init__()
        self.image_size = model.image_size
        self.network = fuse(model).to(memory_format=torch.channels_last)
        self.decode = copy.deepcopy(decode)
        self.eval()

    def forward(self, images: Shaped[Tensor, "N 3 H W"]) -> Decoded:
        """Boxes and scores of each prior.

        Args:
            images: RGB from 0 to 255, uint8 or floating, of the network's ``image_size``.
        """
        decoded: Decoded = self.decode(self.network(images))
        return decoded

    def cast_layers(self, dtype: torch.dtype) -> "DecodingNetwork":
        """Cast the convolutions in place; normalisation and decoding stay in float32."""
        for module in self.network.modules():
            if isinstance(module, nn.Conv2d):
                module.to(dtype)
        self.network.layer_dtype = dtype
        return self

    def round_weights(self, dtype: torch.dtype) -> "DecodingNetwork":
        """Round weights, biases and priors to values of ``dtype``, in place and in float32."""
        with torch.no_grad():
            for tensor in (*self.network.parameters(), self.decode.priors):
                tensor.copy_(tensor.to(dtype))
        return self
