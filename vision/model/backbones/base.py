"""What the detector asks of a backbone."""

# N batch, C* channels, H W image height and width, K classes

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn


class FeatureMaps(NamedTuple):
    """The feature maps of a backbone that detection starts from."""

    stride8: Float[Tensor, "N C8 H/8 W/8"]
    stride16: Float[Tensor, "N C16 H/16 W/16"]
    stride32: Float[Tensor, "N C32 H/32 W/32"]


class Backbone(nn.Module, ABC):
    """An image classifier, or without its last layers a network that gives three feature maps.

    Attributes:
        feature_channels: Channels of the maps of stride 8, 16 and 32.
        features: Its convolutional layers from first to last.
        classifier: From the last map's means to class logits; the identity in a detector.
    """

    feature_channels: tuple[int, int, int]
    features: nn.Sequential
    classifier: nn.Module

    def forward(self, images: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N K"]:
        """Class logits of images of any size; the pooled features where there is no classifier."""
        logits: Tensor = self.classifier(self.features(images).mean(dim=(2, 3)))
        return logits

    def stages(self) -> Sequence[nn.Module]:
        """Its layers from first to last, as ``train.freeze`` counts them."""
        return list(self.features)

    @abstractmethod
    def feature_maps(self, images: Float[Tensor, "N 3 H W"]) -> FeatureMaps:
        """The maps of stride 8, 16 and 32 of normalised images."""
