"""The interface of a backbone."""

# N batch, C8 C16 C32 channels of the maps, H W image height and width, K classes

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn


class FeatureMaps(NamedTuple):
    """The feature maps that a backbone passes to the rest of the detector."""

    stride8: Float[Tensor, "N C8 H/8 W/8"]
    stride16: Float[Tensor, "N C16 H/16 W/16"]
    stride32: Float[Tensor, "N C32 H/32 W/32"]


class Backbone(nn.Module, ABC):
    """An image classifier whose feature maps of stride 8, 16 and 32 a detector uses.

    Attributes:
        feature_channels: Channels of the maps of stride 8, 16 and 32.
        features: The convolutional layers from first to last.
        classifier: Computes logits from the last map's channel means; the identity in a detector.
    """

    feature_channels: tuple[int, int, int]
    features: nn.Sequential
    classifier: nn.Module

    def forward(self, images: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N K"]:
        """Classify images of any size; without a classifier, return the pooled features."""
        logits: Tensor = self.classifier(self.features(images).mean(dim=(2, 3)))
        return logits

    def stages(self) -> Sequence[nn.Module]:
        """Return the layers from first to last, as ``train.freeze`` counts them."""
        return list(self.features)

    @abstractmethod
    def feature_maps(self, images: Float[Tensor, "N 3 H W"]) -> FeatureMaps:
        """Compute the maps of stride 8, 16 and 32 from normalised images."""
