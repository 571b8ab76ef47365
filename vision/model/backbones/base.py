"""What the detector asks of a backbone."""

# N batch, C* channels, H W image height and width

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Backbone", "FeatureMaps"]


class FeatureMaps(NamedTuple):
    """The feature maps of a backbone that detection starts from."""

    stride8: Float[Tensor, "N C8 H/8 W/8"]
    stride16: Float[Tensor, "N C16 H/16 W/16"]
    stride32: Float[Tensor, "N C32 H/32 W/32"]


class Backbone(nn.Module):
    """A convolutional network that gives three feature maps; an interface without code.

    Attributes:
        feature_channels: Channels of the maps of stride 8, 16 and 32.
    """

    feature_channels: tuple[int, int, int]

    @abstractmethod
    def stages(self) -> Sequence[nn.Module]:
        """Its layers from first to last, as ``train.freeze`` counts them."""

    @abstractmethod
    def feature_maps(self, images: Float[Tensor, "N 3 H W"]) -> FeatureMaps:
        """The maps of stride 8, 16 and 32 of normalised images."""
