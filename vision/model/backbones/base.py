"""What the detector asks of a backbone."""

# N batch, H W image height and width

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Taps", "Trunk"]


class Taps(NamedTuple):
    """The maps of a trunk that detection starts from."""

    stride8: Float[Tensor, "N C8 H/8 W/8"]
    stride16: Float[Tensor, "N C16 H/16 W/16"]
    stride32: Float[Tensor, "N C32 H/32 W/32"]


class Trunk(nn.Module):
    """A network of convolutions with three taps; an interface without code of its own.

    Attributes:
        tap_channels: Channels of the maps of stride 8, 16 and 32.
    """

    tap_channels: tuple[int, int, int]

    @abstractmethod
    def layers(self) -> Sequence[nn.Module]:
        """Its layers, first to last, as ``train.freeze`` counts them."""

    @abstractmethod
    def taps(self, images: Float[Tensor, "N 3 H W"]) -> Taps:
        """The three maps of normalised images."""
