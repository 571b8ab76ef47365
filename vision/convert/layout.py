"""How one project lays out its checkpoints."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vision.convert.roles import Role


@dataclass(frozen=True, slots=True)
class Source:
    """How to understand one project's detector.

    Attributes:
        name: Of the source.
        preset: Whose variant of the network it is.
        backbone: Of the network.
        image_size: (height, width).
        conv: From a role to the key of the convolution's weight, without ``.weight`` or the like.
        norm: From a role to the key of the norm.
        weight: From (key of a convolution, role) to the key of its weight.
        bias: Its bias's key after the convolution's.
        norm_parts: Keys of weight, bias, running mean and variance after the norm's.
        background_first: Whether background comes before the classes.
        postprocess: Constants of its post-processing.
        prior_order: Of its priors in a cell, where each of ours is; by the number in a cell.
        box_order: Where in its box codes x, y, width and height stand.
        licence: Of the project that they come from.
        backbone_only: Whether it is a classifier, of which the backbone alone is read.
    """

    name: str
    preset: str
    image_size: tuple[int, int]
    conv: Callable[[Role], str]
    norm: Callable[[Role], str]
    weight: Callable[[str, Role], str] = lambda key, _: f"{key}.weight"
    bias: str = ".bias"
    norm_parts: tuple[str, str, str, str] = (".weight", ".bias", ".running_mean", ".running_var")
    background_first: bool = True
    postprocess: Mapping[str, Any] = field(default_factory=dict)
    prior_order: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    box_order: tuple[int, int, int, int] = (0, 1, 2, 3)
    licence: str = ""
    backbone: str = "mobilenet_v2"
    backbone_only: bool = False


def next_in_sequence(key: str) -> str:
    """The key of the norm that follows a convolution in a numbered sequence."""
    stem, _, number = key.rpartition(".")
    return f"{stem}.{int(number) + 1}"
